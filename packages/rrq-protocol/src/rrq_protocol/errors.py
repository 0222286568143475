"""Errors of the contract package.

::

    RRQError
    ├── InvalidJob              a producer asked for a job that cannot be stored
    │   └── PayloadTooLarge     its parameters exceed the payload limit
    ├── InvalidName             a queue, job, runner or function name breaks the naming rules
    ├── NotSerialisable         a value has no strict JSON form (NaN, cycle, unknown type, ...)
    ├── MalformedRecord         a stored job hash cannot be understood
    ├── ProtocolError           a peer broke the runner protocol; the connection is unusable
    │   ├── FrameTooLarge       a frame is longer than the limit
    │   └── InvalidMessage      one message is wrong while the framing is intact
    ├── SettingsError           the settings have problems, all of them listed
    └── EndpointError           an address cannot be used

Facts are kept as attributes; the text is built from them and is not part of the contract.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from rrq_protocol._masking import hide_passwords

_SHOWN_CHARS = 80


def shown(value: object) -> str:
    """Return ``value`` for an error text: escaped and cut, so data can neither flood nor forge a log."""
    text = ascii(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}... ({len(text)} characters)"


def _on_one_line(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _restored(kind: type[Exception], args: tuple[Any, ...], facts: dict[str, Any]) -> Exception:
    error = kind.__new__(kind, *args)
    vars(error).update(facts)
    return error


class RRQError(Exception):
    """Base of every error RRQ raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # By default an exception is rebuilt from its text, which these constructors do not take.
        return (_restored, (type(self), self.args, vars(self)))


class InvalidJob(RRQError):
    """The job cannot be enqueued as asked; correct ``field`` and try again."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field, self.message = field, message


class PayloadTooLarge(InvalidJob):
    """The encoded parameters are larger than allowed."""

    def __init__(self, limit_bytes: int, size_bytes: int) -> None:
        super().__init__(
            "params",
            f"the payload has {size_bytes} bytes, the limit is {limit_bytes}; "
            "store large data elsewhere and send a reference to it",
        )
        self.limit_bytes, self.size_bytes = limit_bytes, size_bytes


class InvalidName(RRQError):
    """``value`` is no valid name of a ``kind`` ("queue", "job id", "function", "runner")."""

    def __init__(self, kind: str, value: object, expected: str = "") -> None:
        text = (
            f"{shown(value)} is not a valid {kind} name"
            if kind != "job id"
            else f"{shown(value)} is not a valid job id"
        )
        super().__init__(f"{text}: expected {expected}" if expected else text)
        self.kind, self.value, self.expected = kind, value, expected


class NotSerialisable(RRQError):
    """The value at ``path`` has no strict JSON form; nothing was sent or stored."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path, self.problem = path, problem


class MalformedRecord(RRQError):
    """The stored hash of ``job_id`` cannot be understood; it is kept for inspection and never run (F83)."""

    def __init__(self, job_id: str, field: str, problem: str) -> None:
        super().__init__(f"job {shown(job_id)}: malformed {field}: {problem}")
        self.job_id, self.field, self.problem = job_id, field, problem


class ProtocolError(RRQError):
    """The peer broke the protocol and the stream cannot be trusted any more; close the connection.

    Attributes:
        completed: What was received whole before the violation, in order. Bodies from a decoder, events from
            a connection. Handle these first: they are good answers (F62: only unanswered jobs are suspects).
    """

    def __init__(self, message: str, *, completed: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.completed: tuple[Any, ...] = tuple(completed)


class FrameTooLarge(ProtocolError):
    """A frame announces, or a message would need, more bytes than the limit."""

    def __init__(self, limit_bytes: int, announced_bytes: int, *, completed: Sequence[Any] = ()) -> None:
        super().__init__(
            f"a frame of {announced_bytes} bytes is over the limit of {limit_bytes}", completed=completed
        )
        self.limit_bytes, self.announced_bytes = limit_bytes, announced_bytes


class InvalidMessage(ProtocolError):
    """One frame body is no valid message. The framing is intact, so neighbours are unaffected (F68).

    Attributes:
        problem: What is wrong, without the received data.
        message_type: The envelope's ``type``, where it could still be read.
        job_id: The payload's ``job_id``, where it could still be read.
        request_id: The payload's ``request_id``, where it could still be read.
    """

    def __init__(
        self,
        problem: str,
        *,
        message_type: str | None = None,
        job_id: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(f"invalid message: {problem}")
        self.problem, self.message_type = problem, message_type
        self.job_id, self.request_id = job_id, request_id


class SettingsError(RRQError):
    """The settings cannot be used. ``problems`` holds every finding; the text has one per line.

    What is not printable, as a line end in the name of a file, is written out. Passwords in URLs are
    masked, for a problem may quote what came.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems: tuple[str, ...] = tuple(hide_passwords(_on_one_line(text)) for text in problems)
        super().__init__("\n".join(self.problems))


class EndpointError(RRQError):
    """An address is unusable: the text says which, what was expected and what to do."""
