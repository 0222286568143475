"""How a Redis client library reaches the Redis that the settings mean: one way for all wheels.

The library is handed in (``redis`` or ``redis.asyncio``), for this wheel imports none. What it is asked for
is what its versions 6 to 8 have in common.
"""

from collections.abc import Mapping
from typing import Any, Final

from rrq_protocol.errors import shown
from rrq_protocol.settings.redis_target import RedisTarget, require_permitted
from rrq_protocol.settings.secret import Secret, read_dsn_file
from rrq_protocol.settings.sentinel import SENTINEL_SCHEMES, SentinelAddress, parse_sentinel
from rrq_protocol.testing import reach

__all__ = ["connection_pool", "lone_connection"]

_CREDENTIALS: Final = ("username", "password")
# A sentinel that is gone must not use up the time that a caller has: the next one knows as much.
_SENTINEL_TIMEOUT_S: Final = 1.0


def connection_pool(target: RedisTarget, library: Any, **options: Any) -> Any:
    """Return a connection pool of ``library`` for ``target``; nothing is connected yet.

    A password from ``redis_dsn_file`` is read again for each new connection, so that a rotated one is taken
    up without a restart, and so are the files of certificates. The rest of the DSN stays as it was. Where the
    DSN names sentinels, each new connection asks them for the primary.

    Args:
        target: Where to connect; it must have a ``url``.
        library: ``redis`` or ``redis.asyncio``, as imported by the caller.
        options: What connections are made with besides, e.g. ``socket_timeout``.

    Raises:
        SettingsError: The URL has an option that is not permitted.
        ValueError: The library cannot use the URL.
    """
    assert target.url is not None
    url, tls = target.url.reveal(), _tls_options(target)
    if url.partition("://")[0] in SENTINEL_SCHEMES:
        pool = _sentinel_pool(parse_sentinel(url), library, options, tls)
    else:
        require_permitted(url)
        pool = library.ConnectionPool.from_url(url, **options, **tls)
    if _is_async(library) and issubclass(pool.connection_class, library.SSLConnection):
        pool.connection_class = _reading_files_anew(pool.connection_class)
    if target.dsn_file is not None:
        for name in _CREDENTIALS:
            pool.connection_kwargs.pop(name, None)
        pool.connection_kwargs["credential_provider"] = _FileCredentials(target.dsn_file, library)
    if reach is not None:
        from rrq_protocol._checkout import at_crash_points

        pool.connection_class = at_crash_points(pool.connection_class, reach, library)
    return pool


def lone_connection(target: RedisTarget, library: Any, **options: Any) -> Any:
    """Return one connection that belongs to no pool, not connected yet; else as :func:`connection_pool`."""
    pool = connection_pool(target, library, **options)
    connection = pool.make_connection()
    if hasattr(connection, "connection_pool"):
        # It asks its pool where the primary is, and knows it by a weak reference only.
        connection.connection_pool = pool
    return connection


def _tls_options(target: RedisTarget) -> dict[str, Any]:
    tls = target.tls
    if tls is None:
        return {}
    files = {"ssl_ca_certs": tls.ca, "ssl_certfile": tls.cert, "ssl_keyfile": tls.key}
    given = {name: path for name, path in files.items() if path is not None}
    return {"ssl_check_hostname": tls.check_hostname, **given}


def _is_async(library: Any) -> bool:
    return bool(library.__name__.endswith(".asyncio"))


def _reading_files_anew(kind: Any) -> Any:
    """Return a kind of connection that reads its certificates each time it connects.

    The library's blocking ones do so. Its async ones read them once, and connect again with what may have
    been renewed long ago.
    """

    async def connect(self: Any) -> None:
        self.ssl_context.context = None
        await kind.connect(self)

    return type(kind.__name__, (kind,), {"__doc__": kind.__doc__, "connect": connect})


def _sentinel_pool(
    address: SentinelAddress, library: Any, options: Mapping[str, Any], tls: Mapping[str, Any]
) -> Any:
    secure = {"ssl": True, **tls} if address.tls else {}
    asked_with = {
        "socket_timeout": _SENTINEL_TIMEOUT_S,
        "socket_connect_timeout": _SENTINEL_TIMEOUT_S,
        "username": address.sentinel_username,
        "password": _revealed(address.sentinel_password),
        **({"retry": options["retry"]} if "retry" in options else {}),
        **secure,
    }
    discovery = (_AsyncDiscovery if _is_async(library) else _Discovery)(library, address, asked_with)
    return library.sentinel.SentinelConnectionPool(
        address.service,
        discovery,
        db=address.db,
        username=address.username,
        password=_revealed(address.password),
        **options,
        **secure,
    )


class _Discovery:
    """Asks the sentinels, and closes the connections to them: they are asked once in a while."""

    def __init__(self, library: Any, address: SentinelAddress, asked_with: Mapping[str, Any]) -> None:
        self._library, self._address, self._asked_with = library, address, asked_with

    def discover_master(self, service: str) -> Any:
        """Return host and port of the primary."""
        asked = self._sentinels()
        try:
            return asked.discover_master(service)
        except self._library.sentinel.MasterNotFoundError as error:
            raise self._not_found(error) from None
        finally:
            for each in asked.sentinels:
                each.close()

    def _not_found(self, error: Exception) -> Exception:
        # The library's text shows its own objects, behind a mark where a sentinel did not answer.
        nodes = ", ".join(f"{host}:{port}" for host, port in self._address.nodes)
        said = f"no sentinel at {nodes} answers and knows it"
        if " - " not in str(error):
            said = f"the sentinels at {nodes} do not know it, or find it down"
        elif "AuthenticationError" in str(error):
            said = f"sentinels at {nodes} refuse sentinel_username and sentinel_password, or want them"
        elif self._address.tls:
            # The library keeps the reason to itself.
            said = f"no sentinel at {nodes} answers by TLS and knows it"
        return type(error)(f"No master found for {shown(self._address.service)}: {said}")

    def _sentinels(self) -> Any:
        return self._library.sentinel.Sentinel(self._address.nodes, sentinel_kwargs=dict(self._asked_with))


class _AsyncDiscovery(_Discovery):
    """The same, without holding up the event loop."""

    async def discover_master(self, service: str) -> Any:
        """Return host and port of the primary."""
        asked = self._sentinels()
        try:
            return await asked.discover_master(service)
        except self._library.sentinel.MasterNotFoundError as error:
            raise self._not_found(error) from None
        finally:
            for each in asked.sentinels:
                await each.aclose()


class _FileCredentials:
    """What the library asks for user name and password each time it connects."""

    def __init__(self, path: str, library: Any) -> None:
        self._path, self._library = path, library

    def get_credentials(self) -> tuple[str, ...]:
        """Return what stands in the file now.

        Raises:
            ConnectionError: The file cannot be read, or holds no URL. It may be there at the next try.
        """
        text = read_dsn_file(self._path)
        try:
            user, password = self._given(text)
        except (ValueError, TypeError):
            raise ConnectionError(f"redis_dsn_file: {self._path} holds no DSN; expected redis://…") from None
        if password is None:
            return ()
        return (user, password) if user else (password,)

    async def get_credentials_async(self) -> tuple[str, ...]:
        """Return the same; reading a small local file does not hold up an event loop."""
        return self.get_credentials()

    def _given(self, text: str) -> tuple[str | None, str | None]:
        if text.partition("://")[0] in SENTINEL_SCHEMES:
            address = parse_sentinel(text)
            return address.username, _revealed(address.password)
        given = self._library.ConnectionPool.from_url(text).connection_kwargs
        return given.get("username"), given.get("password")


def _revealed(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()
