"""Commands and raw replies of a reading: the small change of :mod:`rrq_orchestrator.audit.look`."""

from collections.abc import Generator
from typing import Any, Final, TypeVar

from rrq_orchestrator.audit.facts import Seen
from rrq_orchestrator.errors import OrchestratorError
from rrq_protocol import reply_of
from rrq_protocol.transitions import Evidence

__all__ = [
    "ORDINARY",
    "Batch",
    "Command",
    "LookRefused",
    "Reading",
    "raw",
    "refused",
    "seen_in",
    "text",
    "value_of",
    "wrong_type",
]

T = TypeVar("T")
Command = tuple[Any, ...]
Batch = list[Command]
Reading = Generator[Batch, list[Any], T]

ORDINARY: Final = ("status", "worker_id", "claim_seq", "queue_name", "dlq_name")
"""The fields by which an index entry is judged."""


class LookRefused(OrchestratorError):
    """The auditor may not, or cannot, read what it has to; ``problem`` is the server's text."""

    def __init__(self, command: str, problem: str) -> None:
        super().__init__(f"the keys cannot be looked at: Redis refuses {command} ({problem.rstrip('.')})")
        self.command, self.problem = command, problem


_RAISE: Final[Any] = object()


def text(value: bytes) -> str:
    """Return bytes of Redis as text; what is no UTF-8 survives the way back through :func:`raw`."""
    return value.decode("utf-8", "surrogateescape")


def raw(value: str) -> bytes:
    """Return the bytes behind a text."""
    return value.encode("utf-8", "surrogateescape")


def refused(reply: object) -> bool:
    """Return whether a reply is an error."""
    return isinstance(reply, Exception)


def wrong_type(reply: object) -> bool:
    """Return whether a command met a key of another type."""
    return isinstance(reply, Exception) and "wrong kind of value" in str(reply)


def value_of(reply: Any, command: Command, *, wrong_type: Any = _RAISE) -> Any:
    """Return a reply that is no error.

    Args:
        reply: The reply.
        command: What was asked.
        wrong_type: What a key of another type counts as.

    Raises:
        LookRefused: The server will not answer.
    """
    if not isinstance(reply, Exception):
        return reply
    if wrong_type is not _RAISE and "wrong kind of value" in str(reply):
        return wrong_type
    raise LookRefused(str(command[0]), reply_of(reply)) from reply


def seen_in(reply: Any, command: Command) -> Seen | None:
    """Return the record in the reply to HMGET of ``ORDINARY``; None for a key of another type."""
    values = value_of(reply, command, wrong_type=None)
    if values is None:
        return None
    status, worker, seq, queue, dlq = ("" if each is None else text(each) for each in values)
    return Seen(True, Evidence(status, worker, seq), queue, dlq)
