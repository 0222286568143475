"""Ending and reviving jobs from outside: cancel (T10, T11), requeue (T12), purge (T13)."""

import math
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import chain, repeat

from rrq_protocol.keys import Keyspace
from rrq_protocol.scripts import ScriptCall
from rrq_protocol.transitions.replies import as_list, as_text, now_arg

__all__ = ["CancelReply", "RequeueReply", "cancel", "purge", "requeue"]


class CancelReply(StrEnum):
    """``CANCELLED`` at once, ``REQUESTED`` of its orchestrator, ``FINISHED`` before, ``GONE``: no job,
    ``MALFORMED``: its record has no status, or one that is none; nothing was changed.
    """

    CANCELLED = "cancelled"
    REQUESTED = "requested"
    FINISHED = "finished"
    GONE = "gone"
    MALFORMED = "malformed"
    WRONG_TYPE = "wrong_type"


class RequeueReply(StrEnum):
    """What became of one job of a requeue or a purge; only ``OK`` changed it.

    ``UNIQUE``: another job holds its unique key now, so it stays where it is. ``MOVED``: it does not stand at
    the place that was given, nor perhaps in this DLQ; look where it stands, and ask again. ``BAD_QUEUE``: no
    queue can have the name in its record; name one (``target_queue``).
    """

    OK = "ok"
    UNIQUE = "unique"
    NOT_FAILED = "not_failed"
    NOT_IN_DLQ = "not_in_dlq"
    MOVED = "moved"
    BAD_QUEUE = "bad_queue"
    BUSY = "busy"
    GONE = "gone"
    WRONG_TYPE = "wrong_type"


def cancel(
    keyspace: Keyspace,
    job_id: str,
    *,
    reason: str = "cancelled",
    ttl_seconds: float = 86_400,
    job_events: bool = False,
    now_ms: int | None = None,
) -> ScriptCall[CancelReply]:
    """Return the call that cancels a waiting job, or asks the orchestrator that runs it to do so."""
    args = (keyspace.prefix, job_id, now_arg(now_ms), int(ttl_seconds), reason, "1" if job_events else "")
    return ScriptCall("cancel", (keyspace.job(job_id),), args, lambda reply: CancelReply(as_text(reply)))


def _decode_each(reply: object) -> tuple[RequeueReply, ...]:
    return tuple(RequeueReply(as_text(answer)) for answer in as_list(reply))


def _placed(job_ids: Sequence[str], places: Sequence[int | Sequence[int]] | None) -> Iterator[str | int]:
    """Yield each id with its places, or with nothing."""
    known: Iterable[str | int] = (
        repeat("")
        if places is None
        else (each if isinstance(each, int) else " ".join(map(str, each)) for each in places)
    )
    return chain.from_iterable(zip(job_ids, known, strict=False))


def requeue(
    keyspace: Keyspace,
    dlq_name: str,
    job_ids: Sequence[str],
    *,
    places: Sequence[int | Sequence[int]] | None = None,
    target_queue: str | None = None,
    unique_ttl_seconds: float = 21_600,
    now_ms: int | None = None,
) -> ScriptCall[tuple[RequeueReply, ...]]:
    """Return the call that gives dead-lettered jobs a fresh start, in their own queues unless one is named.

    They become due in the order given. A list finds an entry by looking at all before it, so say where they
    stand, or give them in the order of the DLQ, from either end.

    Args:
        keyspace: The keys.
        dlq_name: Bare name of the DLQ they are in.
        job_ids: The jobs, at most some hundred per call.
        places: How many older entries stand behind each in the DLQ. They rise, so jobs come oldest first;
            what is not at its place is left alone (``MOVED``). For an id that is listed more than once,
            the places of all its entries, newest first: that of the newest counts, and all are taken out.
        target_queue: Bare name of the queue they go to; None is each job's own.
        unique_ttl_seconds: The longest time a unique key is held that is taken again.
        now_ms: The time to go by; None is the server's.
    """
    unique_ttl_ms = math.ceil(unique_ttl_seconds * 1000)
    args = (keyspace.prefix, now_arg(now_ms), target_queue or "", unique_ttl_ms, *_placed(job_ids, places))
    return ScriptCall("requeue", (keyspace.dlq(dlq_name), keyspace.queues), args, _decode_each)


def purge(
    keyspace: Keyspace,
    dlq_name: str,
    job_ids: Sequence[str],
    *,
    places: Sequence[int | Sequence[int]] | None = None,
    waiting_too: bool = False,
    waiting_only: bool = False,
    now_ms: int | None = None,
) -> ScriptCall[tuple[RequeueReply, ...]]:
    """Return the call that deletes terminal jobs, with ``waiting_too`` also those that have not started, with
    ``waiting_only`` these alone; ``places`` as for :func:`requeue`.
    """
    which = "waiting" if waiting_only else "all" if waiting_too else "terminal"
    args = (keyspace.prefix, now_arg(now_ms), which, *_placed(job_ids, places))
    return ScriptCall("purge", (keyspace.dlq(dlq_name),), args, _decode_each)
