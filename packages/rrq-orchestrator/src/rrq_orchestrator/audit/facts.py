"""What the auditor has to know of one job, entry or key to judge it: plain values, read by anyone."""

from collections.abc import Mapping

import msgspec

from rrq_protocol import JobStatus
from rrq_protocol.transitions import Evidence

__all__ = [
    "COUNTERS",
    "FIELDS",
    "LIVE",
    "REQUIRED",
    "WAITING",
    "EntryFacts",
    "JobFacts",
    "Rules",
    "Seen",
    "queue_named",
    "whole",
]

REQUIRED = ("id", "function_name", "enqueue_time", "status")
"""Without these a job record is none (I3)."""

COUNTERS = ("current_retries", "crash_count")

FIELDS = (
    *REQUIRED, "worker_id", "claim_seq", "queue_name", "dlq_name", "current_retries", "max_retries",
    "crash_count", "next_scheduled_run_time", "job_timeout_seconds", "result_ttl_seconds", "job_unique_key",
)  # fmt: skip
"""The fields of a job record that are looked at; payloads and results are not among them."""

WAITING = frozenset({JobStatus.PENDING.value, JobStatus.RETRYING.value})

LIVE = WAITING | {JobStatus.ACTIVE.value}


class Rules(msgspec.Struct, frozen=True):
    """What is known of the installation.

    Attributes:
        latest_ms: The latest time a job may be due; the scripts allow none after the year 2199 (I11).
        max_crashes: The crash budget; None does not check it.
        job_events: Every terminal job has its terminal event (I12); otherwise only events that are there are
            checked.
        conserved: Whether the counters are added up (I13).
        dlq_name: Where a dead letter goes whose record names no DLQ.
        max_payload_bytes: The largest payload that will be run.
        lease_s: How long an orchestrator counts as alive after a beat (I14).
    """

    latest_ms: float = 7_258_118_400_000
    max_crashes: int | None = None
    job_events: bool = False
    conserved: bool = False
    dlq_name: str = "default"
    max_payload_bytes: int = 16 * 1024 * 1024
    lease_s: float = 10.0


class JobFacts(msgspec.Struct, frozen=True):
    """One job record and where it was found.

    Attributes:
        fields: Those of ``FIELDS`` that it has.
        expires: Whether it has a time to live.
        queues: The queues it was found in, of those that were asked: the one it names, or all if it names
            none.
        held: Whether it is in the active set of its ``worker_id``.
        dlqs: The DLQs it is in, and how often in each; needed for failed ones only.
        malformed: Whether a claim found it unreadable and set it aside (F83); such a one is kept as it was.
        unrunnable: Why a claim will fail the job when its turn comes (F83), for one that waits and was looked
            at so closely; it begins with the field.
        keyless: Whether the unique key it names is there for nobody.
        leased: Whether its ``worker_id`` has a lease, or had one; an orchestrator of the public line has none
            and numbers no claims.
    """

    job_id: str
    fields: Mapping[str, str]
    expires: bool = False
    queues: tuple[str, ...] = ()
    held: bool = False
    dlqs: tuple[tuple[str, int], ...] = ()
    malformed: bool = False
    unrunnable: str = ""
    keyless: bool = False
    leased: bool = False

    @property
    def evidence(self) -> Evidence:
        """What identifies the state of the record."""
        get = self.fields.get
        return Evidence(get("status", ""), get("worker_id", ""), get("claim_seq", ""))


class Seen(msgspec.Struct, frozen=True):
    """A job record as an index entry or a unique key meets it; ``there`` is False where there is none."""

    there: bool = False
    evidence: Evidence = Evidence()
    queue_name: str = ""
    dlq_name: str = ""


class EntryFacts(msgspec.Struct, frozen=True):
    """One entry of an index.

    Attributes:
        family: ``"queue"``, ``"active"`` or ``"dlq"``.
        name: Which one, without its prefix.
        score: When a queued job is due; 0 elsewhere.
        seen: The record of the job.
    """

    family: str
    name: str
    job_id: str
    seen: Seen
    score: float = 0.0


def queue_named(named: str, prefix: str) -> str | None:
    """Return the queue a record names, by its full key or bare; None where it names none of ours."""
    start = f"{prefix}:queue:"
    if named.startswith(start) and len(named) > len(start):
        return named.removeprefix(start)
    return named if named and ":" not in named else None


def whole(text: str, digits: int = 15) -> int | None:
    """Return a whole number >= 0; None for any other text, and for one that is longer than any real count.

    Python refuses to read 4,301 digits, and anybody may have written the text.
    """
    return int(text) if len(text) <= digits and text.isascii() and text.isdigit() else None
