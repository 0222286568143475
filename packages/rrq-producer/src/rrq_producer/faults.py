"""What a failed exchange with Redis means for a producer: a table from errors of the client library to what
to do.

The meaning of the server's own error codes is the contract's (:func:`rrq_protocol.classify_reply`,
RELIABILITY.md F30 to F37). This module adds what happens before and around a reply: connections that break,
names that do not resolve, certificates that do not match. It imports no client, so that importing the wheel
stays cheap: errors of the client are told by the names of their classes, which have not changed since its
version 4.
"""

import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rrq_protocol import RedisFault, classify_reply, reply_of

__all__ = ["Failure", "RedisFault", "diagnose", "exchange_errors", "leaves_open"]


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed exchange.

    Attributes:
        fault: What to do about it.
        replied: The server answered, so the command had no effect. Otherwise that is not known.
        problem: What happened, in words, for people.
        hint: What to do, where a person has to; may be empty.
        reached: Somebody is at the address, as far as can be told.
        begun: The server may have begun to do it before it refused the rest.
    """

    fault: RedisFault
    replied: bool
    problem: str
    hint: str = ""
    reached: bool = True
    begun: bool = False


_SHOWN_CHARS = 300
_TURNED_AWAY = frozenset({"AuthenticationError", "NoPermissionError"})
_REPLY_CLASSES = frozenset({"AuthenticationError", "BusyLoadingError", "ResponseError"})

_HINTS = {
    "NOAUTH": (
        "expected an address with a password, as in redis://:PASSWORD@host; it may come from redis_dsn_file "
        "or RRQ_REDIS_DSN"
    ),
    "WRONGPASS": "check the user name and the password in the address",
    "DENIED": "the server runs in protected mode: set a password on it, or bind it to the right address",
    "MOVED": "this is a node of a cluster: use a key prefix like {rrq}, and the address of the node it is on",
    "CROSSSLOT": "this is a cluster: use a key prefix with a hash tag, such as {rrq}",
    "OOM": "take jobs off it, raise maxmemory, or try again later",
    "READONLY": "this is a replica: give the address of the primary",
    "WRONGTYPE": "the key holds a value of another type; look with TYPE, then rename or delete it",
    "MISCONF": "the server cannot write its data to disk: look into its log",
    "LOADING": "the server is reading its data and will answer when it is done",
}
_SCRIPT_RIGHTS = "+@scripting +@read +@write +@pubsub +@connection +time"
_COMMAND_HINT = (
    "give this user the right to run {command}: ACL SETUSER … {right} (a producer needs "
    f"{_SCRIPT_RIGHTS})"
)
_COMMANDS_HINT = f"give this user the right to run what a producer needs: ACL SETUSER … {_SCRIPT_RIGHTS}"
_KEYS_HINT = "give this user the keys of the prefix: ACL SETUSER … ~PREFIX:*"
_CHANNELS_HINT = "give this user the channels of the prefix: ACL SETUSER … &PREFIX:*"
_NOBODY_HINT = "the server knows no password for this user: take it out of the address"
_NO_DATABASE_HINT = "the server has no database of the number in the address"
_BAD_ADDRESS_HINT = "check the host name in the address"
_TLS_HINT = (
    "check rediss:// against redis://, and redis_tls_ca_file in the settings; "
    "redis_tls_cert_file and redis_tls_key_file where the server asks for a certificate"
)
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


def leaves_open(error: BaseException) -> bool:
    """Return whether a connection is, after ``error``, as good as after any other reply."""
    from redis.exceptions import ResponseError

    return isinstance(error, ResponseError) and not str(error).startswith("Protocol error")


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
    text = _text(error)
    return Failure(RedisFault.RECONNECT, False, text, reached=_unreached(text) is None)


# Told by the text: where a name has several addresses, asyncio leaves nothing else.
_unreached = re.compile(r"refused|Connect call failed|unreachable|Error -\d").search


def _of_reply(error: BaseException) -> Failure:
    reply = _where.sub("", reply_of(error))
    if _unauthenticated(reply):
        reply = f"NOAUTH Authentication required ({reply})"
    problem = reply if len(reply) <= _SHOWN_CHARS else f"{reply[:_SHOWN_CHARS]}…"
    fault = classify_reply(reply)
    begun = fault in (RedisFault.CONFIGURATION, RedisFault.BUG) and not _turned_away(error, reply)
    return Failure(fault, True, problem, _hint(reply), begun=begun)


def _turned_away(error: BaseException, reply: str) -> bool:
    """Return whether the command itself was refused; from inside a script comes an error of another class."""
    return reply.startswith("NOAUTH") or bool(_class_names(error) & _TURNED_AWAY)


# What a server says of a command too large to be read from somebody who has not given the password.
_unauthenticated = re.compile("Protocol error: unauthenticated").search
# Where in a script something happened; of use to nobody who cannot read its text.
_where = re.compile(r" script: (\S+ )?on @user_script:\d+\.?$")


def _hint(reply: str) -> str:
    code = reply.partition(" ")[0]
    if code in _HINTS:
        return _HINTS[code]
    return next((hint(reply) for found, hint in _HINTS_BY_TEXT if found(reply)), "")


def _no_right(reply: str) -> str:
    if named := _command(reply):
        command = named["name"]
        return _COMMAND_HINT.format(command=command.upper(), right=f"+{command}")
    if "channel" in reply:
        return _CHANNELS_HINT
    return _KEYS_HINT if "key" in reply else _COMMANDS_HINT


# Servers differ in their words, old ones and errors from inside a script have no code in front.
_command = re.compile(r"the '(?P<name>[a-z|]+)' command").search
_HINTS_BY_TEXT: tuple[tuple[Callable[[str], object], Callable[[str], str]], ...] = (
    (re.compile("no permissions|executing the script can't", re.IGNORECASE).search, _no_right),
    (re.compile("uthentication required").search, lambda _: _HINTS["NOAUTH"]),
    (re.compile("without any password").search, lambda _: _NOBODY_HINT),
    (re.compile("password").search, lambda _: _HINTS["WRONGPASS"]),
    (re.compile("DB index").search, lambda _: _NO_DATABASE_HINT),
)


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
