"""Which Redis a producer talks to, and how connections to it are made."""

import threading
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, Protocol

from rrq_producer.errors import RedisRefused
from rrq_protocol import Secret, Settings, SettingsError
from rrq_protocol.settings import Provenance, RedisTarget, lone_connection, resolve_redis

__all__ = ["Address", "AsyncConnection", "BlockingConnection"]

CONNECT_S = 3.0
"""Longest time to open a connection, in seconds."""

_SCHEMES = ("redis", "rediss", "unix", "embedded", "redis+sentinel", "rediss+sentinel")
_TLS_MISSING = "if the server expects TLS, write rediss:// in the address"
_TLS_UNKNOWN = (
    "if the server does not speak TLS, write redis:// in the address; the files of certificates that it "
    "names must be there"
)
_SCHEMES_TEXT = "redis://, rediss://, unix://, redis+sentinel://, rediss+sentinel:// or embedded://"


class BlockingConnection(Protocol):
    """What is used of the client library's blocking connection; the same in its versions 6 to 8."""

    def connect(self) -> None:
        """Open it and say who we are; does nothing when it is open."""

    def disconnect(self) -> None:
        """Close it at once; never raises."""

    def send_packed_command(self, command: Iterable[bytes], check_health: bool) -> None:
        """Send; on any exception the connection is closed."""

    def can_read(self, timeout: float) -> bool:
        """Return whether something came within ``timeout`` seconds."""

    def read_response(self, *, disconnect_on_error: bool = True) -> object:
        """Return one reply, or raise it if it is an error; any other exception closes the connection."""


class AsyncConnection(Protocol):
    """The same of its async connection."""

    @property
    def is_connected(self) -> bool:
        """Whether it is open, as far as is known."""

    async def connect(self) -> None:
        """Open it and say who we are; does nothing when it is open."""

    async def disconnect(self, nowait: bool = False) -> None:
        """Close it, with ``nowait`` at once."""

    async def send_packed_command(self, command: Iterable[bytes], check_health: bool) -> None:
        """Send; on any exception, cancellation included, the connection is closed."""

    async def read_response(
        self, *, timeout: float | None = None, disconnect_on_error: bool = True
    ) -> object:
        """Return one reply, or raise it if it is an error; None after ``timeout`` seconds.

        On any other exception, cancellation included, the connection is closed, unless that is not wanted.
        """


_loading = threading.Lock()


def _load_client() -> None:
    """Load the client library whole, when the first producer is made: threads that come to its modules by
    different ways at a time would lock each other out."""
    with _loading:
        import_module("redis.asyncio")


class Address:
    """A Redis server.

    Args:
        settings: Their ``redis_dsn`` says which.

    Attributes:
        display: The address without its password, for people and logs.
        hint: What to add to the text of a connection error; may be empty.
        cut_hint: What to add where the server takes connections and closes them at once; may be empty.
        silence_hint: What to add where it takes them and says nothing; may be empty.

    Raises:
        SettingsError: The address has no scheme that is known.
    """

    def __init__(self, settings: Settings) -> None:
        _load_client()
        scheme = settings.redis_dsn.reveal().partition("://")[0]
        if scheme not in _SCHEMES:
            raise SettingsError([f"rrq.redis_dsn: expected {_SCHEMES_TEXT}, got {settings.redis_dsn}"])
        self._settings = settings
        self._target = resolve_redis(settings)
        self.display = self._target.display
        self.hint = self._target.hint or ""
        self.cut_hint = {"redis": _TLS_MISSING, "rediss": _TLS_UNKNOWN}.get(scheme, "")
        self.silence_hint = _TLS_UNKNOWN if scheme == "rediss" else ""

    @classmethod
    def of_dsn(cls, dsn: str) -> "Address":
        """Return the address in a DSN: ``redis://``, ``rediss://``, ``unix://`` or ``embedded://<folder>``."""
        return cls(Settings(redis_dsn=Secret(dsn), provenance=Provenance(given=frozenset({"redis_dsn"}))))

    def _current(self) -> RedisTarget:
        if self._target.embedded_dir is not None:
            self._target = self._embedded(self._target)
        if self._target.url is None:
            raise RedisRefused(self.display, "not running", hint=self._target.problem or "")
        return self._target

    def _embedded(self, before: RedisTarget) -> RedisTarget:
        # It may have been started, or started anew elsewhere, since. While one that was there is gone, it is
        # tried where it was, so that its restart is like that of any server: retried, not refused.
        now = resolve_redis(self._settings)
        return now if now.url is not None else before

    def async_connection(self, connect_s: float = CONNECT_S) -> AsyncConnection:
        """Return a new async connection, not connected yet. Its time limits are the caller's business.

        Raises:
            RedisRefused: The embedded server is not running.
            SettingsError: The address is unusable.
        """
        import redis.asyncio as library
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        options = {
            "socket_connect_timeout": connect_s,
            "socket_timeout": None,
            "retry": Retry(NoBackoff(), 0),
        }
        connection: AsyncConnection = self._make(library, options)
        return connection

    def blocking_connection(self, limit_s: float, connect_s: float = CONNECT_S) -> BlockingConnection:
        """Return a new blocking connection, not connected yet, that waits ``limit_s`` for each answer.

        Raises:
            RedisRefused: The embedded server is not running.
            SettingsError: The address is unusable.
        """
        import redis as library
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        options = {
            "socket_connect_timeout": min(limit_s, connect_s),
            "socket_timeout": limit_s,
            "retry": Retry(NoBackoff(), 0),
        }
        connection: BlockingConnection = self._make(library, options)
        return connection

    def _make(self, library: Any, options: Mapping[str, Any]) -> Any:
        target = self._current()
        try:
            # Only its reading of the address is used: which connection goes back to which pool is ours to
            # say. Protocol 2 needs no HELLO, which old servers and narrow access rules refuse.
            return lone_connection(target, library, protocol=2, **options)
        except (ValueError, TypeError) as error:
            raise SettingsError([f"rrq.redis_dsn: {self.display} cannot be used: {error}"]) from error
