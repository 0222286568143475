"""How a Redis client library reaches the Redis that the settings mean: one way for all wheels.

The library is handed in (``redis`` or ``redis.asyncio``), for this wheel imports none. What it is asked for
is what its versions 6 to 8 have in common.
"""

from typing import Any, Final

from rrq_protocol.settings.redis_target import RedisTarget
from rrq_protocol.settings.secret import read_dsn_file

__all__ = ["connection_pool"]

_CREDENTIALS: Final = ("username", "password")


def connection_pool(target: RedisTarget, library: Any, **options: Any) -> Any:
    """Return a connection pool of ``library`` for ``target``; nothing is connected yet.

    A password from ``redis_dsn_file`` is read again for each new connection, so that a rotated one is taken
    up without a restart. The rest of the DSN stays as it was.

    Args:
        target: Where to connect; it must have a ``url``.
        library: ``redis`` or ``redis.asyncio``, as imported by the caller.
        options: What connections are made with besides, e.g. ``socket_timeout``.

    Raises:
        ValueError: The library cannot use the URL.
        TypeError: The URL has options that the library does not know.
    """
    assert target.url is not None
    pool = library.ConnectionPool.from_url(target.url.reveal(), **options, **_tls_options(target))
    if target.dsn_file is not None:
        for name in _CREDENTIALS:
            pool.connection_kwargs.pop(name, None)
        pool.connection_kwargs["credential_provider"] = _FileCredentials(target.dsn_file, library)
    return pool


def _tls_options(target: RedisTarget) -> dict[str, Any]:
    tls = target.tls
    if tls is None:
        return {}
    files = {"ssl_ca_certs": tls.ca, "ssl_certfile": tls.cert, "ssl_keyfile": tls.key}
    given = {name: path for name, path in files.items() if path is not None}
    return {"ssl_check_hostname": tls.check_hostname, **given}


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
            given = self._library.ConnectionPool.from_url(text).connection_kwargs
        except (ValueError, TypeError):
            raise ConnectionError(f"redis_dsn_file: {self._path} holds no DSN; expected redis://…") from None
        user, password = (given.get(name) for name in _CREDENTIALS)
        if password is None:
            return ()
        return (user, password) if user else (password,)

    async def get_credentials_async(self) -> tuple[str, ...]:
        """Return the same; reading a small local file does not hold up an event loop."""
        return self.get_credentials()
