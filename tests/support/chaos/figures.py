"""What a round is worth in numbers, and the words for it."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from support.chaos.causes import Causes
from support.chaos.evidence import Evidence, Execution, Suspicion
from support.chaos.ledger import Fault
from support.chaos.options import KILLS

__all__ = ["Figures", "figures_of", "lines_of", "loss_bound", "total"]


class Figures(msgspec.Struct, frozen=True):
    """The numbers of one round, or of several.

    Attributes:
        faults: By kind.
        accepted: Jobs acknowledged.
        uncertain: Jobs that exist though no acknowledgement came back.
        ended: Records by status.
        executed: Handlers started.
        retried: Of these, after an attempt that was charged.
        repeated: Of these, executions beyond.
        hit: Executions in hand when their process, or its orchestrator, was killed, stopped or fenced.
        stale: Ends that were refused because they came too late.
        fences: Orchestrators declared dead.
        false_deaths: Of these, such as the bench had not silenced.
        lost: Jobs lost.
        orchestrator_s: Of each job an orchestrator had in hand when it was killed: from the kill to the next
            start of the job elsewhere, less what the machine stood still.
        outage_s: Of such jobs with an outage of Redis in between: from the end of the outage.
        suspect_s: Of such jobs under which a runner process had died before: they wait for a process of
            their own as well.
        alone_s: Of each job that had to run alone because a process died under it: from when it was due again
            to its next start, less what the machine stood still.
        start_s: How long the start of a runner process took, of all but the slowest twentieth.
        held_s: The longest time the machine kept the bench itself from running.
        runner_s: From the kill of a runner process to the next start of one of its jobs, each of which then
            runs alone.
        redis_s: From the return of a Redis that was killed or restarted to the next start of a job.
        took_s: How long it all took.
    """

    faults: Counter[str]
    accepted: int
    uncertain: int
    ended: Counter[str]
    executed: int
    retried: int
    repeated: int
    hit: int
    stale: int
    fences: int
    false_deaths: int
    lost: int
    orchestrator_s: tuple[float, ...]
    outage_s: tuple[float, ...]
    suspect_s: tuple[float, ...]
    alone_s: tuple[float, ...]
    start_s: tuple[float, ...]
    held_s: tuple[float, ...]
    runner_s: tuple[float, ...]
    redis_s: tuple[float, ...]
    took_s: float

    @property
    def kills(self) -> int:
        """How often SIGKILL was sent."""
        return sum(self.faults[kind] for kind in KILLS)


def figures_of(evidence: Evidence, *, lost: int, took_s: float) -> Figures:
    """Return the numbers of a round."""
    causes = Causes(evidence)
    executed = sum(map(len, evidence.executions.values()))
    kinds = Counter(fault.kind for fault in evidence.faults if fault.kind != "redis.up")
    starts = sorted(each.start.at for several in evidence.executions.values() for each in several)
    failures = sum(
        each.end is not None and each.end.what == "failed"
        for several in evidence.executions.values()
        for each in several[:-1]
    )
    recoveries = list(_recoveries(evidence))
    return Figures(
        faults=kinds,
        accepted=len(evidence.acknowledged),
        uncertain=len(evidence.records.keys() - evidence.acknowledged.keys()),
        ended=Counter(str(record.status) for record in evidence.records.values()),
        executed=executed,
        retried=failures,
        repeated=executed - len(evidence.executions) - failures,
        hit=causes.hit(),
        stale=evidence.stale,
        fences=len(evidence.fences),
        false_deaths=len(causes.false_deaths),
        lost=lost,
        orchestrator_s=tuple(each[1] for each in recoveries if each[0] == "plain"),
        outage_s=tuple(each[1] for each in recoveries if each[0] == "outage"),
        suspect_s=tuple(each[1] for each in recoveries if each[0] == "suspect"),
        alone_s=tuple(_waits_alone(evidence)),
        start_s=(_nearly_all(evidence.started),),
        held_s=(max((late for _, late in evidence.held), default=0.0),),
        runner_s=tuple(_reruns(evidence)),
        redis_s=_returns(evidence.faults, starts),
        took_s=took_s,
    )


def _recoveries(evidence: Evidence) -> Iterator[tuple[str, float]]:
    """Yield how long each job in the hands of a killed orchestrator had to wait, and what kind of wait it
    was. With Redis away in between it is counted from its return: before that nobody's silence means
    anything.
    """
    outages, deaths = _outages(evidence), _deaths(evidence)
    for job_id, several in evidence.executions.items():
        for before, after in pairwise(several):
            at = deaths.get(before.start.parent)
            if at is None or not before.runs_at(at) or after.start.at < at:
                continue
            # Another claim in between: it started elsewhere, and that one's process died before the handler.
            if after.start.claim_seq > before.start.claim_seq + 1:
                continue
            since = max(at, _before(outages, after.start.at))
            kind = "suspect" if job_id in evidence.suspects else "outage" if since > at else "plain"
            yield kind, _waited(evidence, since, after.start.at)


def _alone(evidence: Evidence) -> Iterator[tuple[Execution, Execution, Suspicion]]:
    """Yield what each job that lost its process was started as before and next, alone in another one: where
    it waited for nothing but that process.
    """
    deaths = _deaths(evidence)
    for job_id, suspicions in evidence.suspects.items():
        for before, after in pairwise(evidence.executions.get(job_id, [])):
            at = after.start.at
            if not (there := [each for each in suspicions if before.start.at < each.due <= at]):
                continue
            # Another claim in between: whoever made it did not live to start it.
            if after.start.claim_seq > before.start.claim_seq + 1:
                continue
            # Its orchestrator may not have lived to give it back.
            if before.start.at < deaths.get(before.start.parent, 0.0) <= at:
                continue
            since = there[0].due
            if not any(_hampered(evidence, each.start.parent, since, at) for each in (before, after)):
                yield before, after, there[0]


def _waits_alone(evidence: Evidence) -> Iterator[float]:
    """Yield how long each job that lost its process waited for its next start. With Redis away in between it
    is counted from its return.
    """
    outages = _outages(evidence)
    for _, after, suspicion in _alone(evidence):
        at = after.start.at
        yield _waited(evidence, max(suspicion.due, _before(outages, at)), at)


def _hampered(evidence: Evidence, pid: int, since: float, until: float) -> bool:
    """Whether an orchestrator was stopped for a while, or had trouble to reach Redis."""
    return any(
        fault.at <= until and max(fault.at, fault.until) + evidence.lease_s >= since
        for fault in evidence.faults
        if pid in fault.pids and fault.kind.startswith(("orchestrator.pause", "network."))
    )


def _deaths(evidence: Evidence) -> dict[int, float]:
    """Return when each orchestrator was killed."""
    return {f.pids[0]: f.at for f in evidence.faults if f.kind == "orchestrator.kill"}


def _outages(evidence: Evidence) -> list[float]:
    """Return when outages of Redis ended."""
    return sorted(max(f.at, f.until) for f in evidence.faults if f.kind.startswith("redis."))


def _before(moments: Sequence[float], at: float) -> float:
    """Return the last of the moments up to ``at``; 0 if there is none."""
    index = bisect_right(moments, at)
    return moments[index - 1] if index else 0.0


def _waited(evidence: Evidence, since: float, until: float) -> float:
    """Return the time in between, less what the machine stood still."""
    return until - since - sum(late for moment, late in evidence.held if since < moment <= until)


def _reruns(evidence: Evidence) -> Iterator[float]:
    """Yield per killed runner process how long it took until the first of its jobs was started again, but
    for the backoff of one that was charged.
    """
    outages, alone = _outages(evidence), list(_alone(evidence))
    for fault in evidence.faults:
        again = [
            _waited(evidence, max(fault.at + suspicion.due - suspicion.at, _before(outages, at)), at)
            for before, after, suspicion in alone
            if fault.kind == "runner.kill" and before.start.pid in fault.pids and before.runs_at(fault.at)
            for at in (after.start.at,)
        ]
        if again:
            yield min(again)


def _returns(faults: Sequence[Fault], starts: Sequence[float]) -> tuple[float, ...]:
    found = []
    for fault in faults:
        at = bisect_right(starts, fault.at)
        if fault.kind != "redis.up" or at == len(starts):
            continue
        # Unless it was taken away again.
        if not any(o.kind.startswith("redis.") and fault.at < o.at < starts[at] for o in faults):
            found.append(starts[at] - fault.at)
    return tuple(found)


def total(rounds: Sequence[Figures]) -> Figures:
    """Return the numbers of several rounds together."""
    first, *others = rounds
    for each in others:
        sums = {name: getattr(first, name) + getattr(each, name) for name in Figures.__struct_fields__}
        first = Figures(**sums)
    return first


def loss_bound(kills: int) -> float:
    """Return what a loss per kill is less likely than, with 95 % confidence, after none in so many."""
    return min(1.0, 3 / kills) if kills else 1.0


def lines_of(figures: Figures) -> list[str]:
    """Return the numbers as text."""
    f = figures
    lines = [
        f"faults      {f.kills} kill -9: {_counts(f.faults, kills=True)}",
        f"            {f.faults.total() - f.kills} others: {_counts(f.faults, kills=False)}",
        f"jobs        {f.accepted} accepted, {f.uncertain} more unacknowledged; "
        + ", ".join(f"{n} {status}" for status, n in sorted(f.ended.items())),
        f"executions  {f.executed}, {f.retried} of them after failed attempts",
        f"duplicated  {f.repeated}; {f.hit} were in hand when something happened to their processes",
        (
            f"leases      {f.fences} orchestrators declared dead, {f.false_deaths} of them falsely; "
            f"{f.stale} late ends refused"
        ),
        _times("recovery    jobs of a killed orchestrator, from the kill", f.orchestrator_s),
        _times("            the same, from the end of an outage of Redis after it", f.outage_s),
        _times("            the same, of jobs that then had to run alone", f.suspect_s),
        _times("            jobs that had to run alone, from when they were due again", f.alone_s),
        f"            the start of a process took up to {max(f.start_s):.2f} s, in 95 of 100 cases",
        _times("            first job of a killed runner, from the kill", f.runner_s),
        _times("            next job, from the return of Redis", f.redis_s),
        f"            the machine kept the bench itself from running for {max(f.held_s):.2f} s at most",
        f"lost        {f.lost}",
    ]
    if not f.lost:
        lines.append(
            f"            in {f.kills} kills: below {loss_bound(f.kills):.2g} a kill with 95 % confidence"
        )
    return lines


def _counts(faults: Counter[str], *, kills: bool) -> str:
    chosen = sorted((kind, n) for kind, n in faults.items() if (kind in KILLS) == kills)
    return ", ".join(f"{n} {kind}" for kind, n in chosen) or "none"


def _times(what: str, samples: Sequence[float]) -> str:
    if not samples:
        return f"{what}: no sample"
    ordered = sorted(samples)
    half, most = ordered[len(ordered) // 2], _nearly_all(samples)
    return f"{what}: n={len(ordered)} p50 {half:.2f} s, p95 {most:.2f} s, max {ordered[-1]:.2f} s"


def _nearly_all(samples: Sequence[float]) -> float:
    """Return the 95th percentile; 0 where there is no sample."""
    return sorted(samples)[min(len(samples) - 1, int(len(samples) * 0.95))] if samples else 0.0
