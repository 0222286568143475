"""What a failed exchange with Redis means for a producer: a table from errors of the client library to what
to do.

The meaning of the server's own error codes is the contract's (:func:`rrq_protocol.classify_reply`,
RELIABILITY.md F30 to F37). This module adds what happens before and around a reply: connections that break,
names that do not resolve, certificates that do not match. It imports no client, so that importing the wheel
stays cheap: errors of the client are told by the names of their classes, which have not changed since its
version 4.
"""

import socket
from collections.abc import Iterator
from dataclasses import dataclass

from rrq_protocol import RedisFault, classify_reply, reply_of

__all__ = ["Failure", "RedisFault", "diagnose", "exchange_errors"]


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed exchange.

    Attributes:
        fault: What to do about it.
        replied: The server answered, so the command had no effect. Otherwise that is not known.
        problem: What happened, in words, for people.
        hint: What to do, where a person has to; may be empty.
    """

    fault: RedisFault
    replied: bool
    problem: str
    hint: str = ""


_SHOWN_CHARS = 300
_REPLY_CLASSES = frozenset({"AuthenticationError", "BusyLoadingError", "ResponseError"})

_HINTS = {
    "NOAUTH": (
        "the server asks for a password: put it into the address, as in redis://:PASSWORD@host, or into "
        "RRQ_REDIS_DSN"
    ),
    "WRONGPASS": "check the user name and the password in the address",
    "NOPERM": (
        "give this user the right to EVAL, EVALSHA, HMGET and SUBSCRIBE, and to the keys and channels of the "
        "prefix (ACL SETUSER)"
    ),
    "DENIED": "the server runs in protected mode: set a password on it, or bind it to the right address",
    "MOVED": "this is a node of a cluster: use a key prefix like {rrq}, and the address of the node it is on",
    "CROSSSLOT": "this is a cluster: use a key prefix with a hash tag, such as {rrq}",
    "OOM": "take jobs off it, raise maxmemory, or try again later",
    "READONLY": "this is a replica: give the address of the primary",
    "WRONGTYPE": "the key holds a value of another type; look with TYPE, then rename or delete it",
    "MISCONF": "the server cannot write its data to disk: look into its log",
    "LOADING": "the server is reading its data and will answer when it is done",
}
_BAD_ADDRESS_HINT = "check the host name in the address"
_TLS_HINT = "check rediss:// against redis://, and the certificate settings in the address (ssl_ca_certs=…)"
_NO_ACCESS_HINT = "give this user the right to use the socket"
_TLS_ERRORS = ("SSLError", "SSLCertVerificationError")
_UNKNOWN_HOST = frozenset(
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_FAIL") if hasattr(socket, name)
)


def exchange_errors() -> tuple[type[Exception], ...]:
    """Return what an exchange with Redis may raise, for an ``except`` clause; evaluated when something was
    raised."""
    from redis.exceptions import RedisError

    return RedisError, OSError


def diagnose(error: BaseException) -> Failure:
    """Return what ``error``, raised while talking to Redis, means."""
    if _class_names(error) & _REPLY_CLASSES:
        return _of_reply(error)
    for cause in _chain(error):
        if isinstance(cause, socket.gaierror) and cause.errno in _UNKNOWN_HOST:
            return Failure(
                RedisFault.CONFIGURATION, False, f"unknown host: {_text(cause)}", _BAD_ADDRESS_HINT
            )
        # Told by name: the module ssl takes longer to import than the rest of this wheel.
        if type(cause).__name__ in _TLS_ERRORS:
            return Failure(RedisFault.CONFIGURATION, False, f"TLS: {_text(cause)}", _TLS_HINT)
        if isinstance(cause, PermissionError):
            return Failure(RedisFault.CONFIGURATION, False, _text(cause), _NO_ACCESS_HINT)
    return Failure(RedisFault.RECONNECT, False, _text(error))


def _of_reply(error: BaseException) -> Failure:
    reply = reply_of(error)
    problem = reply if len(reply) <= _SHOWN_CHARS else f"{reply[:_SHOWN_CHARS]}…"
    return Failure(classify_reply(reply), True, problem, _hint(reply))


def _hint(reply: str) -> str:
    code = reply.partition(" ")[0]
    if code in _HINTS:
        return _HINTS[code]
    # Old clients and servers: no code in front.
    if "uthentication required" in reply:
        return _HINTS["NOAUTH"]
    if "password" in reply:
        return _HINTS["WRONGPASS"]
    return ""


def _class_names(error: BaseException) -> set[str]:
    return {each.__name__ for each in type(error).__mro__ if each.__module__.startswith("redis")}


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what led to it; the client library keeps the error of the system there."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__


def _text(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if not text:
        return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
