"""One blocking connection to the Redis that the settings mean, and the key space in it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import redis
from redis import Redis, exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from rrq_cli.configuration import no_file, settings_for
from rrq_cli.exits import fail
from rrq_cli.params import GlobalOptions
from rrq_protocol import Keyspace, ScriptCall, Settings
from rrq_protocol.settings import RedisTarget, connection_pool, resolve_redis

__all__ = ["Store", "connect", "open_store"]

CONNECT_TIMEOUT_S = 3.0
ANSWER_TIMEOUT_S = 15.0
T = TypeVar("T")
_TLS_ADVICE = (
    "check rediss:// against redis://, redis_tls_ca_file, and our own redis_tls_cert_file and "
    "redis_tls_key_file where the server asks for them"
)
_ADVICE = (
    (("certificate", "SSL", "TLS", "PEM"), _TLS_ADVICE),
    (
        ("No master found",),
        "check that the sentinels run, their password, and the name of the service in redis_dsn",
    ),
    (("redis_dsn_file",), "put the DSN into that file, or name another one"),
)


class Store:
    """A connection together with its keys and settings.

    Attributes:
        redis: The client (``client``); it answers in bytes.
        keys: Every key name.
        settings: What was configured.
        display: The server's address without secrets.
        remark: What to add where nothing is found: that no settings file said where to look.
    """

    def __init__(self, client: "Redis", settings: Settings, display: str, remark: str | None = None) -> None:
        self.redis, self.settings, self.display, self.remark = client, settings, display, remark
        self.keys = Keyspace(settings.key_prefix)

    def run(self, call: ScriptCall[T]) -> T:
        """Perform one transition."""
        (reply,) = self.ask(call.evalsha_args())
        if isinstance(reply, exceptions.NoScriptError):
            (reply,) = self.ask(call.eval_args())
        if isinstance(reply, Exception):
            raise reply
        return call.result(reply)

    def ask(self, *commands: Sequence[Any]) -> list[Any]:
        """Send commands in one round trip and return their replies, in order.

        An error reply (a key of the wrong type, say) is returned in its place, so that one bad key hides no
        other.
        """
        if not commands:
            return []
        with self.redis.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)  # type: ignore[no-untyped-call]
            return list(pipe.execute(raise_on_error=False))

    def now_ms(self) -> float:
        """Return the server's time in epoch ms; ages and dues are measured by it."""
        seconds, micros = self.redis.time()
        return seconds * 1000 + micros / 1000

    def elsewhere(self) -> str | None:
        """Return ``host:port/database`` of a server that is not on this machine, None for one that is."""
        known = self.redis.connection_pool.connection_kwargs
        if known.get("path"):
            return None
        host, database = known.get("host"), known.get("db") or 0
        if not isinstance(host, str):  # known to sentinels only
            return f"{self.display.partition('://')[2] or self.display}"
        return None if _is_loopback(host) else f"{host}:{known.get('port', 6379)}/{database}"


def _is_loopback(host: str) -> bool:
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@contextmanager
def open_store(
    options: GlobalOptions, settings: Settings | None = None, *, answer_s: float = ANSWER_TIMEOUT_S
) -> Iterator[Store]:
    """Connect to the Redis the command line means, and close the connection afterwards.

    Args:
        options: Those of the command line.
        settings: What to go by in place of the settings that they mean.
        answer_s: How long an answer is waited for.

    Raises:
        CliError: Nothing answers there.
        SettingsError: The settings have problems.
    """
    settings = settings or settings_for(options)
    target = resolve_redis(settings)
    missing = no_file(settings)
    if target.problem is not None or target.url is None:
        problem = target.problem or f"there is no Redis at {target.display}"
        fail(problem if missing is None else f"{problem}\n{missing}")
    with connect(target, missing, answer_s=answer_s) as client:
        yield Store(client, settings, target.display, missing)


@contextmanager
def connect(
    target: RedisTarget, remark: str | None = None, *, answer_s: float = ANSWER_TIMEOUT_S
) -> Iterator["Redis"]:
    """Connect to a target, and say what to do, and the ``remark``, where nothing answers.

    Raises:
        CliError: Nothing answers, or it is no Redis.
    """
    assert target.url is not None
    try:
        pool = connection_pool(
            target,
            redis,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=answer_s,
            retry=Retry(NoBackoff(), 0),  # whoever typed the command waits for the answer
            client_name="rrq-cli",
        )
        client = Redis.from_pool(pool)
    except (ValueError, TypeError) as error:
        fail(f"{target.display} cannot be used: {error}")
    with client:
        try:
            client.ping()
        except (
            exceptions.AuthenticationError,
            exceptions.BusyLoadingError,
            exceptions.ResponseError,  # no permission, and whatever else a server answers
        ):
            raise
        except exceptions.InvalidResponse:
            fail(f"what answers at {target.display} is no Redis: correct redis_dsn, or RRQ_REDIS_DSN")
        except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
            text = _unreachable(target, error)
            fail(text if remark is None else f"{text}\n{remark}")
        except exceptions.RedisError as error:  # an option in the URL that the client does not know
            fail(f"{target.display} cannot be used: {error}")
        yield client


def _unreachable(target: RedisTarget, error: Exception) -> str:
    said = " ".join(str(error).split()).rstrip(".")
    advice = (
        target.hint
        or next((advice for marks, advice in _ADVICE if any(mark in said for mark in marks)), None)
        or _tls_advice(target, said)
        or "start it, or name another one with --redis-dsn, RRQ_REDIS_DSN or redis_dsn in rrq.toml"
    )
    return f"cannot reach Redis at {target.display} ({said}): {advice}"


def _tls_advice(target: RedisTarget, said: str) -> str | None:
    # Whoever wants TLS, or none, or a certificate, hangs up or says nothing: the error names no reason.
    hung_up = any(mark in said for mark in ("EOF", "reset by peer", "closed by server"))
    if target.tls is not None:
        return _TLS_ADVICE if hung_up or "imeout" in said or "timed out" in said else None
    return "is there a server that wants TLS? Then write rediss:// in place of redis://" if hung_up else None
