"""What operators ask for: queues paused and resumed, orchestrators drained."""

from enum import StrEnum

import msgspec

from rrq_protocol.keys import Keyspace
from rrq_protocol.scripts import ScriptCall
from rrq_protocol.transitions.replies import as_list, as_text, now_arg

__all__ = ["DrainReply", "PauseReply", "Paused", "drain", "pause", "resume"]


class PauseReply(StrEnum):
    """``ALREADY``: the queue was as asked before."""

    PAUSED = "paused"
    RESUMED = "resumed"
    ALREADY = "already"


class Paused(msgspec.Struct, frozen=True):
    """Outcome of a pause or a resume; ``waiting`` counts the jobs in the queue."""

    reply: PauseReply
    waiting: int


class DrainReply(StrEnum):
    """``ASKED``; ``LAPSED``: its lease is past, nobody may be there to hear; ``UNKNOWN``: no such lease."""

    ASKED = "asked"
    LAPSED = "lapsed"
    UNKNOWN = "unknown"


def _decode_paused(reply: object) -> Paused:
    answer, waiting = as_list(reply)
    return Paused(PauseReply(as_text(answer)), int(as_text(waiting)))


def _pause(keyspace: Keyspace, queue: str, asked: str, now_ms: int | None) -> ScriptCall[Paused]:
    keys = (keyspace.paused, keyspace.queue(queue))
    return ScriptCall("pause", keys, (keyspace.prefix, queue, asked, now_arg(now_ms)), _decode_paused)


def pause(keyspace: Keyspace, queue: str, *, now_ms: int | None = None) -> ScriptCall[Paused]:
    """Return the call after which no job of a queue is claimed; running ones go on, new ones are accepted."""
    return _pause(keyspace, queue, "pause", now_ms)


def resume(keyspace: Keyspace, queue: str, *, now_ms: int | None = None) -> ScriptCall[Paused]:
    """Return the call that ends a pause; an idle orchestrator is woken where jobs are due."""
    return _pause(keyspace, queue, "resume", now_ms)


def drain(keyspace: Keyspace, orchestrator_id: str, *, now_ms: int | None = None) -> ScriptCall[DrainReply]:
    """Return the call that asks an orchestrator to stop in order, as SIGTERM does."""
    keys = (keyspace.workers, keyspace.control(orchestrator_id))
    args = (orchestrator_id, now_arg(now_ms))
    return ScriptCall("drain", keys, args, lambda reply: DrainReply(as_text(reply)))
