"""The invariants, each on plain facts: what holds, and which repair answers what does not. Pure.

What does not fit is told where it can be put right: a job that misses an entry at its record, an entry too
many at the index that holds it. Together the two say that a job is in one place (I1).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from rrq_orchestrator.audit.facts import (
    COUNTERS,
    LIVE,
    REQUIRED,
    WAITING,
    EntryFacts,
    JobFacts,
    Rules,
    Seen,
    queue_named,
    whole,
)
from rrq_orchestrator.audit.findings import Finding, Level
from rrq_protocol import JobStatus, Keyspace
from rrq_protocol.transitions import Repair, RepairKind

__all__ = [
    "COUNTED",
    "judge_counters",
    "judge_entry",
    "judge_events",
    "judge_job",
    "judge_owner",
    "judge_quarantine",
    "judge_type",
    "judge_unique",
    "record_problems",
]

_ENDED = frozenset(status.value for status in JobStatus if status.is_terminal)
_ACCEPTED = ("enqueued", "requeued")
_ACCOUNTED = ("completed", "failed", "cancelled", "purged", "lost")
COUNTED = (*_ACCEPTED, *_ACCOUNTED)
"""The counters that have to add up with the jobs there are (I13)."""


def judge_job(facts: JobFacts, keyspace: Keyspace, rules: Rules) -> Iterator[Finding]:
    """Yield what is wrong with a record, and where it misses an entry (I1 to I5, I9, I10)."""
    told = [] if facts.malformed else list(record_problems(facts, keyspace, rules))
    yield from told
    if facts.unrunnable and not any(each.rule in ("I3", "I5", "I10") for each in told):
        yield Finding(
            rule="I3", key=keyspace.job(facts.job_id), expected="fields a claim can use",
            found=facts.unrunnable, job_id=facts.job_id, evidence=facts.evidence,
        )  # fmt: skip
    key, job_id, status = keyspace.job(facts.job_id), facts.job_id, facts.fields.get("status", "")
    if status in LIVE and facts.keyless:
        yield Finding(
            rule="I9", key=key, expected=f"its unique key {facts.fields.get('job_unique_key')!a:.80} held",
            found="it free", job_id=job_id, evidence=facts.evidence, level=Level.WARNING,
            repair=Repair(RepairKind.KEY, job_id, facts.evidence),
        )  # fmt: skip
    if status in WAITING and not facts.queues:
        named = queue_named(facts.fields.get("queue_name", ""), keyspace.prefix) or "default"
        repair = Repair(RepairKind.QUEUE, job_id, facts.evidence, due_ms=_due_ms(facts.fields))
        yield Finding(
            rule="I1", key=key, expected=f"a {status} job in queue {named}", found="it is not in it",
            job_id=job_id, evidence=facts.evidence, repair=repair,
        )  # fmt: skip
    elif status == JobStatus.ACTIVE.value and not facts.held:
        owner = facts.fields.get("worker_id") or "of an orchestrator"
        yield Finding(
            rule="I1", key=key, expected=f"an ACTIVE job in active set {owner}", found="it is not in it",
            job_id=job_id, evidence=facts.evidence, repair=Repair(RepairKind.OWNER, job_id, facts.evidence),
        )  # fmt: skip
    elif status == JobStatus.FAILED.value:
        yield from _dead_letter(facts, key, rules)


def record_problems(facts: JobFacts, keyspace: Keyspace, rules: Rules) -> Iterator[Finding]:
    """Yield what is wrong with the record itself (I3, I4, I5, I10)."""
    fields, seen = facts.fields, facts.evidence
    key, job_id, status = keyspace.job(facts.job_id), facts.job_id, fields.get("status", "")

    def finding(rule: str, expected: str, found: str, **more: object) -> Finding:
        return Finding(
            rule=rule, key=key, expected=expected, found=found, job_id=job_id, evidence=seen,
            **more,  # type: ignore[arg-type]
        )  # fmt: skip

    missing = [name for name in REQUIRED if name not in fields]
    if missing:
        yield finding("I3", "the fields of a whole record", f"none of: {', '.join(missing)}")
        return
    if status not in LIVE | _ENDED:
        yield finding("I3", "a known status", f"{status!a:.40}")
    if fields["id"] != job_id:
        yield finding("I3", "its own id", f"{fields['id']!a:.80}")
    if status in LIVE and facts.expires:
        mend = Repair(RepairKind.TTL, job_id, seen)
        yield finding("I4", f"no time to live while the status is {status}", "one", repair=mend)
    seq = fields.get("claim_seq", "0")
    if whole(seq) is None:
        # No end of its attempt can be told from another's.
        yield finding("I5", "a whole number as claim_seq", f"{seq!a:.40}")
    elif status == JobStatus.ACTIVE.value and whole(seq) == 0 and (facts.leased or "claim_seq" in fields):
        yield finding(
            "I5", "the number of its claim as claim_seq", "'0'" if "claim_seq" in fields else "none"
        )
    most = {"current_retries": whole(fields.get("max_retries", "")), "crash_count": rules.max_crashes}
    for name in (*COUNTERS, "max_retries"):
        number, limit = whole(fields.get(name, "0")), most.get(name)
        if number is None:
            yield finding("I10", f"a whole number as {name}", f"{fields[name]!a:.40}")
        elif limit is not None and number > limit:
            # A crash budget that was lowered leaves such jobs behind.
            level = Level.WARNING if name == "crash_count" else Level.ERROR
            yield finding("I10", f"a {name} of at most {limit}", str(number), level=level)


def _dead_letter(facts: JobFacts, key: str, rules: Rules) -> Iterator[Finding]:
    if sum(times for _, times in facts.dlqs) == 1:
        return
    names = [name for name, _ in facts.dlqs]
    named = facts.fields.get("dlq_name") or ""
    home = named if named in names or not names else names[0]
    home = home or rules.dlq_name
    found = ", ".join(f"{times} in {name}" for name, times in facts.dlqs) or "none"
    repairs = [(RepairKind.BURIED, name) for name in names if name != home]
    if dict(facts.dlqs).get(home) != 1 or named != home:
        repairs.insert(0, (RepairKind.DEAD, home))
    for kind, place in repairs:
        yield Finding(
            rule="I2", key=key, expected="one entry of a FAILED job in all DLQs", found=found,
            job_id=facts.job_id, evidence=facts.evidence,
            repair=Repair(kind, facts.job_id, facts.evidence, place),
        )  # fmt: skip


def _due_ms(fields: Mapping[str, str]) -> int | None:
    for name in ("next_scheduled_run_time", "enqueue_time"):
        try:
            at = datetime.fromisoformat(fields.get(name, ""))
            return int(at.timestamp() * 1000) if at.tzinfo else None
        except (ValueError, OverflowError):
            continue
    return None


_TAKEN_OUT = {"queue": RepairKind.QUEUED, "active": RepairKind.HELD, "dlq": RepairKind.BURIED}


def judge_entry(entry: EntryFacts, keyspace: Keyspace, rules: Rules) -> Iterator[Finding]:
    """Yield what is wrong with an entry of a queue, active set or DLQ (I1, I2, I8, I11)."""
    seen, status = entry.seen, entry.seen.evidence.status
    key = {"queue": keyspace.queue, "active": keyspace.active, "dlq": keyspace.dlq}[entry.family](entry.name)
    out = Repair(_TAKEN_OUT[entry.family], entry.job_id, seen.evidence, entry.name)

    def finding(rule: str, expected: str, found: str, **more: object) -> Finding:
        return Finding(
            rule=rule, key=key, expected=expected, found=found, job_id=entry.job_id, evidence=seen.evidence,
            **{"repair": out, **more},  # type: ignore[arg-type]
        )  # fmt: skip

    if not seen.there:
        # A dead letter's record expires in time, and the entry it leaves is taken out by and by.
        level = Level.WARNING if entry.family == "dlq" else Level.ERROR
        yield finding("I8", "a record for each entry", "none", level=level)
        return
    if status not in LIVE | _ENDED:
        return  # told at the record (I3); a claim sets it aside
    if entry.family == "dlq":
        if status != JobStatus.FAILED.value:
            yield finding("I2", "FAILED jobs in a DLQ", f"a job that is {status}")
    elif entry.family == "active":
        if status != JobStatus.ACTIVE.value or seen.evidence.worker_id != entry.name:
            owner = f" of {seen.evidence.worker_id}" if status == JobStatus.ACTIVE.value else ""
            yield finding("I1", "ACTIVE jobs of this orchestrator in its active set", f"one {status}{owner}")
    elif status not in WAITING:
        yield finding("I1", "jobs that wait in a queue", f"one that is {status}")
    else:
        named = queue_named(seen.queue_name, keyspace.prefix)
        if named not in (None, entry.name):
            yield finding("I1", "a job in the queue it names only", f"one that names {named}")
        if not (math.isfinite(entry.score) and 0 <= entry.score <= rules.latest_ms):
            due = Repair(RepairKind.QUEUE, entry.job_id, seen.evidence)
            expected = f"a due time from 0 to {rules.latest_ms:.0f}"
            yield finding("I11", expected, f"{entry.score}", repair=due if named == entry.name else None)


def judge_owner(orchestrator_id: str, listed: bool, keyspace: Keyspace) -> Iterator[Finding]:
    """Yield what is wrong with an active set that has entries (I7)."""
    if listed:
        return
    # Janitors read ids as UTF-8.
    named = orchestrator_id.isprintable() and orchestrator_id.encode("utf-8", "replace").decode()
    readable = named == orchestrator_id and orchestrator_id != ""
    yield Finding(
        rule="I7", key=keyspace.active(orchestrator_id),
        expected="its orchestrator among the live ones or those being reaped", found="it nowhere",
        repair=Repair(RepairKind.REAP, place=orchestrator_id) if readable else None,
    )  # fmt: skip


def judge_unique(key: str, holder: str, seen: Seen, keyspace: Keyspace) -> Iterator[Finding]:
    """Yield what is wrong with a unique key and the job it names (I9)."""
    status = seen.evidence.status
    if seen.there and status in LIVE:
        return
    kind, start = RepairKind.IDEMPOTENCY, keyspace.idempotency("")
    if not key.startswith(start):
        kind, start = RepairKind.UNIQUE, keyspace.lock_unique("")
    known = not seen.there or status in _ENDED
    state = (status or "of no status") if seen.there else "no such job"
    yield Finding(
        rule="I9", key=key, expected="the id of a job that has not ended", found=f"{holder!a:.80} ({state})",
        job_id=holder, evidence=seen.evidence,
        repair=Repair(kind, holder, seen.evidence, key.removeprefix(start)) if known else None,
    )  # fmt: skip


def judge_events(
    job_id: str, found: Sequence[str], seen: Seen, keyspace: Keyspace, rules: Rules
) -> Iterator[Finding]:
    """Yield what is wrong with the terminal events of a job (I12).

    Args:
        job_id: The job.
        found: The statuses of its events, in order.
        seen: Its record.
        keyspace: The keys.
        rules: Whether ended jobs must have an event.
    """
    status = seen.evidence.status
    wanted = [status] if seen.there and status in _ENDED else []
    if list(found) == wanted or (not found and not rules.job_events):
        return
    yield Finding(
        rule="I12", key=keyspace.events(job_id),
        expected=f"one terminal event of status {status}" if wanted else "no terminal event",
        found=", ".join(found) or "none", job_id=job_id, evidence=seen.evidence,
    )  # fmt: skip


def judge_type(key: str, expected: str, kind: str) -> Iterator[Finding]:
    """Yield a key of another type than its family has (F40)."""
    if kind not in (expected, "none"):
        yield Finding(rule="F40", key=key, expected=f"a {expected}", found=f"a {kind}")


def judge_quarantine(ids: Sequence[str], keyspace: Keyspace) -> Iterator[Finding]:
    """Yield that ids were set aside, for somebody to look at and delete (F40)."""
    if ids:
        named = ", ".join(sorted(set(ids)))
        yield Finding(
            rule="F40", key=keyspace.quarantine, expected="no ids set aside", level=Level.WARNING,
            found=f"some whose key, queue or DLQ could not be used: {named:.200}",
        )  # fmt: skip


def judge_counters(
    totals: Mapping[str, int], live: int, keyspace: Keyspace, lost: str | None = None
) -> Iterator[Finding]:
    """Yield counters that do not add up (I13).

    Args:
        totals: The counters of all queues, added up.
        live: Jobs that have not ended.
        keyspace: The keys.
        lost: What the counter of lost jobs says, for a repair; empty where there is none, None where that is
            not known.
    """
    missing = sum(totals.get(name, 0) for name in _ACCEPTED) - live
    missing -= sum(totals.get(name, 0) for name in _ACCOUNTED)
    if missing:
        what = "nobody ended" if missing > 0 else "nobody counted in (a producer of another kind?)"
        yield Finding(
            rule="I13", key=keyspace.stats(""), level=Level.WARNING,
            expected="every accepted job to be somewhere", found=f"{abs(missing)} jobs that {what}",
            repair=None if lost is None else Repair(RepairKind.COUNTERS, place=lost, due_ms=missing),
        )  # fmt: skip
