"""The judge: joins what producers were told, what handlers did and what Redis holds. Pure.

Each rule yields findings. A round without findings has lost nothing, repeated nothing without a reason, and
charged nobody for what others did (RELIABILITY.md 2.3, 5).
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from rrq_protocol import JobRecord, JobStatus
from support.chaos.causes import Causes
from support.chaos.evidence import Evidence
from support.chaos.figures import Figures
from support.chaos.ledger import Attempted
from support.chaos.mix import ENDINGS
from support.chaos.options import KILLS, LONG_LEASE_S, Options

__all__ = ["Finding", "judge", "judge_figures"]

# A due time is written in whole milliseconds.
_EARLY_S = 0.005
# With a lease of production no load may make a live orchestrator look dead; with the short one of these tests
# a machine that stands still for a second does.
_FALSE_DEATHS = 3
# From the last beat to the fence, beyond the lease: looks at the leases, and the start elsewhere.
_DETECTED_S = 2.0
# A job that has to run alone waits for the start of a process, however long the machine takes for that,
# perhaps of one that is killed; the first of a process for hardly more, others for those that came before.
_RERUN_S, _ALONE_S, _STARTS = 1.0, 4.0, 2


class Finding(msgspec.Struct, frozen=True):
    """Something is wrong.

    Attributes:
        rule: In a word.
        problem: What was expected and what is there.
        job_id: The job concerned, if one is.
    """

    rule: str
    problem: str
    job_id: str | None = None


def judge(evidence: Evidence) -> list[Finding]:
    """Return everything that is wrong, worst first."""
    causes = Causes(evidence)
    rules = (_lost, _unknown, _never_told, _endings, _results, _claims, _repeats, _charges, _early, _unique)
    found = [finding for rule in rules for finding in rule(evidence, causes)]
    found += [*_totals(evidence), *_false_deaths(evidence, causes)]
    return found + [Finding("order", problem) for problem in evidence.problems]


def judge_figures(figures: Figures, options: Options) -> list[Finding]:
    """Return which numbers are not those of the goals (RELIABILITY.md 5): G1, G2, and with a lease of
    production G5 and G6, and how long jobs that have to run alone wait.
    """
    found = []
    if figures.kills < options.kills and any(map(options.wants, KILLS)):
        found.append(f"expected {options.kills} kill -9, did {figures.kills}")
    if figures.accepted < options.jobs:
        found.append(f"expected {options.jobs} jobs to be accepted, {figures.accepted} were")
    if figures.repeated > figures.hit:
        problem = f"{figures.repeated} repeats, and only {figures.hit} executions were in hand at a fault"
        found.append(problem)
    if options.judges_times:
        bound_s = options.lease_s + _DETECTED_S
        start_s = _STARTS * max(figures.start_s)
        found += _late("a killed orchestrator's jobs have to start again", figures.orchestrator_s, bound_s)
        found += _late("those of them that run alone have to", figures.suspect_s, bound_s + start_s)
        alone, first = "a job that lost its process has to start again, alone,", "the first of them has to"
        found += _late(alone, figures.alone_s, _ALONE_S + start_s)
        found += _late(first, figures.runner_s, _RERUN_S + start_s)
    return [Finding("goal", problem) for problem in found]


def _late(what: str, samples: Sequence[float], bound_s: float) -> Iterator[str]:
    if (late := sum(each > bound_s for each in samples)) > 0:
        longest = f"{late} of {len(samples)} took longer, the longest {max(samples):.2f} s"
        yield f"{what} within {bound_s:g} s; {longest}"


def _lost(evidence: Evidence, _: Causes) -> Iterator[Finding]:
    for job_id in evidence.acknowledged:
        record = evidence.records.get(job_id)
        if record is None:
            yield Finding("lost", "acknowledged, and there is no record of it", job_id)
        elif not record.status.is_terminal:
            yield Finding("lost", f"acknowledged, and it stays {record.status} for ever", job_id)


def _unknown(evidence: Evidence, _: Causes) -> Iterator[Finding]:
    for job_id in evidence.executions.keys() - evidence.attempted.keys():
        yield Finding("unknown", "executed, and nobody ever asked for it", job_id)
    for job_id in evidence.records.keys() - evidence.attempted.keys():
        yield Finding("unknown", "there is a record, and nobody ever asked for it", job_id)


def _never_told(evidence: Evidence, _: Causes) -> Iterator[Finding]:
    """Jobs that exist though their producer was told that they do not."""
    for job_id in evidence.refused & evidence.records.keys():
        yield Finding("refused", "the producer was told that nothing was written, and it was", job_id)
    for job_id in evidence.merged.keys() & evidence.records.keys():
        into = evidence.merged[job_id]
        yield Finding("merged", f"the producer was told that {into} stands for it, and it exists too", job_id)


def _ended(evidence: Evidence) -> Iterator[tuple[str, Attempted, JobRecord]]:
    """Yield the jobs that have ended, with what was asked for."""
    for job_id, record in evidence.records.items():
        if job_id in evidence.attempted and record.status.is_terminal:
            yield job_id, evidence.attempted[job_id], record


def _crashed_out(record: JobRecord, evidence: Evidence) -> bool:
    """Whether it was dead-lettered because too many processes died under it."""
    return record.status is JobStatus.FAILED and record.crash_count >= evidence.max_crashes


def _endings(evidence: Evidence, _: Causes) -> Iterator[Finding]:
    for job_id, asked, record in _ended(evidence):
        executions = evidence.executions.get(job_id, [])
        if not executions:
            yield Finding("lost", f"{record.status}, and no handler ever saw it", job_id)
        ending = ENDINGS[asked.function]
        if not ending.completed or not _crashed_out(record, evidence):
            wanted = JobStatus.COMPLETED if ending.completed else JobStatus.FAILED
            if record.status is not wanted:
                problem = f"expected {wanted}, found {record.status} ({record.last_error})"
                yield Finding("ending", problem, job_id)
        if evidence.dead[job_id] != (record.status is JobStatus.FAILED):
            problem = f"{record.status}, and {evidence.dead[job_id]} times in the dead letter queue"
            yield Finding("ending", problem, job_id)
        events = evidence.events.get(job_id, [])
        if events != [record.status]:
            yield Finding("two ends", f"expected one end, {record.status}, found {events}", job_id)


def _results(evidence: Evidence, _: Causes) -> Iterator[Finding]:
    """Handlers return which execution they are: a result must be of the last claim, and of one that
    succeeded.
    """
    for job_id, _asked, record in _ended(evidence):
        if record.status is not JobStatus.COMPLETED:
            continue
        wanted, result = f"{job_id}.{record.claim_seq}", json.loads(record.result or "null")
        if result != wanted:
            yield Finding("stale", f"expected the result of execution {wanted}, found {result!r}", job_id)
        ended = [each for each in evidence.executions.get(job_id, []) if each.start.request == result]
        if not any(each.end and each.end.what == "ok" for each in ended):
            yield Finding("result", f"completed by {result!r}, of which no handler knows", job_id)


def _claims(evidence: Evidence, _: Causes) -> Iterator[Finding]:
    for job_id, executions in evidence.executions.items():
        for request, times in Counter(each.start.request for each in executions).items():
            if times > 1:
                yield Finding("claim", f"execution {request} was started {times} times", job_id)
        record = evidence.records.get(job_id)
        if record and (last := max(each.start.claim_seq for each in executions)) > record.claim_seq:
            problem = f"executed under claim {last}, and the record's last one is {record.claim_seq}"
            yield Finding("claim", problem, job_id)


def _repeats(evidence: Evidence, causes: Causes) -> Iterator[Finding]:
    for job_id, executions in evidence.executions.items():
        asked = evidence.attempted.get(job_id)
        if asked is None or ENDINGS[asked.function].lethal:
            continue
        for before, again in pairwise(executions):
            if not causes.of_repeat(before, again):
                problem = f"{again.start.request} followed {before.start.request}, and nothing explains it"
                yield Finding("duplicate", problem, job_id)


def _charges(evidence: Evidence, causes: Causes) -> Iterator[Finding]:
    for job_id, asked, record in _ended(evidence):
        ending, crashed = ENDINGS[asked.function], _crashed_out(record, evidence)
        if record.current_retries != asked.fails and not (crashed and record.current_retries < asked.fails):
            problem = f"expected {asked.fails} attempts charged, found {record.current_retries}"
            yield Finding("charge", problem, job_id)
        if ending.lethal:
            if record.crash_count != evidence.max_crashes:
                problem = f"expected {evidence.max_crashes} crashes charged, found {record.crash_count}"
                yield Finding("charge", problem, job_id)
            continue
        executions = evidence.executions.get(job_id, [])
        unseen = record.claim_seq - len({each.start.request for each in executions})
        excused = sum(map(causes.may_charge, executions)) + unseen
        if record.crash_count > excused:
            problem = f"charged {record.crash_count} crashes, of which only {excused} can be its own"
            yield Finding("charge", problem, job_id)


def _early(evidence: Evidence, _: Causes) -> Iterator[Finding]:
    for job_id, executions in evidence.executions.items():
        asked = evidence.attempted.get(job_id)
        if asked is None:
            continue
        early_s = asked.at + asked.defer_s - min(each.start.at for each in executions)
        if early_s > _EARLY_S:
            yield Finding("early", f"started {early_s:.3f} s before its time", job_id)


def _unique(evidence: Evidence, _: Causes) -> Iterator[Finding]:
    """Of one unique key, a job is accepted only when the one before has ended."""
    held: dict[str, tuple[str, JobRecord]] = {}
    accepted = [
        (record.enqueue_time, job_id, asked.unique, record)
        for job_id, asked, record in _ended(evidence)
        if asked.unique
    ]
    for at, job_id, key, record in sorted(accepted, key=lambda row: row[:2]):
        before = held.get(key)
        if before and before[1].completion_time and before[1].completion_time > at:
            yield Finding("unique", f"accepted while {before[0]} held the key {key}", job_id)
        held[key] = job_id, record


def _totals(evidence: Evidence) -> Iterator[Finding]:
    statuses = Counter(str(record.status).lower() for record in evidence.records.values())
    statuses["enqueued"] = len(evidence.records)
    for name in ("enqueued", "completed", "failed", "cancelled"):
        if evidence.counted[name] != statuses[name]:
            problem = f"{name}: counted {evidence.counted[name]}, there are {statuses[name]} records"
            yield Finding("counters", problem)


def _false_deaths(evidence: Evidence, causes: Causes) -> Iterator[Finding]:
    allowed = 0 if evidence.lease_s >= LONG_LEASE_S else _FALSE_DEATHS
    if len(causes.false_deaths) > allowed:
        yield Finding(
            "false death", f"declared dead though nothing kept them from beating: {causes.false_deaths}"
        )
