"""What a round is worth in numbers, and the words for it. Times are printed and never judged."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from support.chaos.causes import Causes
from support.chaos.evidence import Evidence
from support.chaos.ledger import Fault

__all__ = ["Figures", "figures_of", "lines_of", "loss_bound", "total"]

_KILLS = ("orchestrator.kill", "runner.kill", "producer.kill", "redis.kill")


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
        hit: Executions under way when their process, or its orchestrator, was killed, stopped or fenced.
        stale: Ends that were refused because they came too late.
        fences: Orchestrators declared dead.
        false_deaths: Of these, such as the bench had not silenced.
        lost: Jobs lost.
        orchestrator_s: From the kill of an orchestrator to the first start of one of its jobs elsewhere.
        runner_s: From the kill of a runner process to the next start of one of its jobs.
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
    runner_s: tuple[float, ...]
    redis_s: tuple[float, ...]
    took_s: float


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
        orchestrator_s=_recoveries(evidence, "orchestrator.kill"),
        runner_s=_recoveries(evidence, "runner.kill"),
        redis_s=_returns(evidence.faults, starts),
        took_s=took_s,
    )


def _recoveries(evidence: Evidence, kind: str) -> tuple[float, ...]:
    """Return per kill how long it took until the first of the jobs in flight was started again."""
    found = []
    for fault in evidence.faults:
        if fault.kind != kind:
            continue
        again = [
            after.start.at - fault.at
            for several in evidence.executions.values()
            for before, after in pairwise(several)
            if (before.start.parent if kind == "orchestrator.kill" else before.start.pid) in fault.pids
            if before.runs_at(fault.at) and after.start.at > fault.at
        ]
        if again:
            found.append(min(again))
    return tuple(found)


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
    kills = sum(f.faults[kind] for kind in _KILLS)
    lines = [
        f"faults      {f.faults.total()}: "
        + ", ".join(f"{n} {kind}" for kind, n in sorted(f.faults.items())),
        f"jobs        {f.accepted} accepted, {f.uncertain} more unacknowledged; "
        + ", ".join(f"{n} {status}" for status, n in sorted(f.ended.items())),
        (
            f"executions  {f.executed}: {f.retried} after failed attempts, {f.repeated} repeats; "
            f"{f.hit} were under way when a fault hit their processes"
        ),
        (
            f"leases      {f.fences} orchestrators declared dead, {f.false_deaths} of them falsely; "
            f"{f.stale} late ends refused"
        ),
        _times("recovery    orchestrator killed, first of its jobs restarted", f.orchestrator_s),
        _times("            runner killed, first of its jobs restarted", f.runner_s),
        _times("            Redis back, next job started", f.redis_s),
        f"lost        {f.lost}",
    ]
    if not f.lost:
        lines.append(
            f"            in {kills} kills: below {loss_bound(kills):.2g} a kill with 95 % confidence"
        )
    return lines


def _times(what: str, samples: Sequence[float]) -> str:
    if not samples:
        return f"{what}: no sample"
    ordered = sorted(samples)
    half, most = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return f"{what}: n={len(ordered)} p50 {half:.2f} s, p95 {most:.2f} s, max {ordered[-1]:.2f} s"
