"""Putting one broken index entry right, under the evidence of what was seen (T15, RELIABILITY.md 6.7).

What is wrong, and which repair answers it, is for the auditor to say; the script checks both again.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from rrq_protocol.keys import Keyspace
from rrq_protocol.scripts import ScriptCall
from rrq_protocol.transitions.replies import as_list, as_text, now_arg

__all__ = ["Evidence", "Repair", "RepairKind", "RepairReply", "repair"]


class RepairKind(StrEnum):
    """What is to be put right; ``place`` is the queue, orchestrator, DLQ or unique key concerned."""

    QUEUE = "queue"
    """Waits in no queue, or has a due time that never comes: goes into the queue its record names."""

    OWNER = "owner"
    """Is in nobody's active set: goes into its owner's, and the owner to the janitors unless it is listed."""

    TTL = "ttl"
    """Has not ended and expires: no longer does."""

    DEAD = "dead"
    """Failed, and is not exactly once in DLQ ``place``: now is."""

    QUEUED = "queued"
    """Has no business in queue ``place``: taken out."""

    HELD = "held"
    """Has no business in the active set of ``place``: taken out."""

    BURIED = "buried"
    """Has no business in DLQ ``place``: taken out."""

    IDEMPOTENCY = "idempotency"
    """Ended or gone, and still holds the unique key ``place``: the key is deleted."""

    UNIQUE = "unique"
    """The same for the unique lock of the public line."""

    KEY = "key"
    """Has not ended: its unique key is made to last, or taken again where it ran out and is free."""

    REAP = "reap"
    """No job: orchestrator ``place`` is in neither list and has an active set: given to the janitors."""

    COUNTERS = "counters"
    """No job: ``due_ms`` jobs that are nowhere are noted as lost, below 0 as many fewer; ``place`` is what
    the counter of lost jobs said. Only while all else is in order: each fault of an index looks so too.
    """


class RepairReply(StrEnum):
    """What came of it. Only ``REPAIRED`` changed anything; a ``KEY`` that is ``FINE`` may last longer now.

    ``FINE``: nothing is wrong, or no longer. ``CHANGED``: the job is not as it was seen. ``WRONG_TYPE``: a
    key of another type is in the way.
    """

    REPAIRED = "repaired"
    FINE = "fine"
    CHANGED = "changed"
    WRONG_TYPE = "wrong_type"


class Evidence(msgspec.Struct, frozen=True):
    """What a job record said when it was seen; empty where it had no such field, or there was no record."""

    status: str = ""
    worker_id: str = ""
    claim_seq: str = ""


class Repair(msgspec.Struct, frozen=True):
    """One index entry to put right.

    Attributes:
        kind: What is wrong.
        job_id: The job; empty for ``REAP`` and ``COUNTERS``.
        evidence: The record as it was seen; the script does nothing if it is another now.
        place: See :class:`RepairKind`; a bare name, never a key.
        due_ms: When a job that goes back into its queue is due; None is at once. How many jobs are missing.

    Texts are what Redis holds; bytes that are no UTF-8 stand as surrogates (``surrogateescape``).
    """

    kind: RepairKind
    job_id: str = ""
    evidence: Evidence = Evidence()
    place: str = ""
    due_ms: int | None = None


def repair(
    keyspace: Keyspace, repairs: Sequence[Repair], *, now_ms: int | None = None
) -> ScriptCall[tuple[RepairReply, ...]]:
    """Return the call that carries out repairs, each on its own; at most some hundred per call."""
    records = [_raw(text) for each in repairs for text in _record(each)]
    keys = (keyspace.workers, keyspace.reaping, keyspace.queues)
    return ScriptCall("repair", keys, (keyspace.prefix, now_arg(now_ms), *records), _decode_each)


def _record(each: Repair) -> tuple[str, ...]:
    seen, due = each.evidence, "" if each.due_ms is None else str(each.due_ms)
    return (each.kind.value, each.job_id, seen.status, seen.worker_id, seen.claim_seq, each.place, due)


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _decode_each(reply: object) -> tuple[RepairReply, ...]:
    return tuple(RepairReply(as_text(answer)) for answer in as_list(reply))
