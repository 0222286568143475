"""Whether a job costs the same with many jobs queued, and with many queues.

The depth of a queue is measured without an orchestrator: one connection claims and settles batches as an
orchestrator does, and puts in as many as it took, so the depth stays. The number of queues is measured with
one.
"""

import time
from collections.abc import Sequence
from typing import Any

from benchmarks.numbers import summary
from benchmarks.suites.bench import Bench
from benchmarks.systems import Load
from rrq_protocol import Job, Keyspace, ScriptCall
from rrq_protocol.transitions import (
    ClaimRequest,
    EnqueueDefaults,
    Lease,
    SettleKind,
    Settlement,
    claim,
    enqueue,
    prepare,
    register,
    settle,
)

__all__ = ["run_growth"]

NAME = "growth"
DEPTHS = (1_000, 10_000, 100_000)
QUEUES = (1, 10, 50)
BATCH = 64
KEYS = Keyspace()
ME = "benchmark"


def run_growth(bench: Bench) -> None:
    """Measure claim and settle at several depths, then throughput and cost over several numbers of queues."""
    ours = [system for system in bench.systems if system.key == "rrq"]
    quick = bench.options.quick
    # All depths in every round, so that a slow minute of the machine hits them alike.
    for _, title in bench.turns(NAME, ours):
        for depth in DEPTHS[:2] if quick else DEPTHS:
            for queues in (1, 50) if depth == DEPTHS[1] else (1,):
                bench.progress.step(f"{title} · {depth:,} jobs queued, {queues} queues")
                bench.server.empty()
                _measure_scripts(bench, depth, queues, batches=10 if quick else 200)
    for count in QUEUES[:1] if quick else QUEUES:
        load = Load(2, 64, tuple(f"queue-{number}" for number in range(count)))
        for system, title in bench.turns(f"{NAME} {count} queues"):
            measured = bench.rate(system, load, title)
            case = "2×64, 1 queue" if count == 1 else f"2×64, {count} queues"
            bench.report.add(NAME, case, "throughput", "jobs/s", system.key, measured.jobs_per_s)
            for part, cost in measured.cpu_us_per_job.items():
                bench.report.add(NAME, case, f"CPU of {part}", "µs/job", system.key, cost)


def _measure_scripts(bench: Bench, depth: int, queues: int, batches: int) -> None:
    names = [f"queue-{number}" for number in range(queues)]
    _run(bench, register(KEYS, Lease(ME, 600_000, b"{}", 600_000)))
    for start in range(0, depth, 1000):
        _put(bench, names, min(1000, depth - start))
    times: dict[str, list[float]] = {"claim": [], "settle": []}
    for _ in range(batches):
        wanted = -(-BATCH // queues)
        requests = [ClaimRequest(name, "python", wanted) for name in names]
        reply, claim_us = _timed(bench, claim(KEYS, ME, requests, {"python": BATCH}))
        ends = [
            Settlement(
                job.id, job.claim_seq, SettleKind.COMPLETE, job.queue, b"null", ttl_seconds=3600, run_ms=1
            )
            for job in reply.jobs
        ]
        _, settle_us = _timed(bench, settle(KEYS, ME, ends))
        times["claim"].append(claim_us / len(ends))
        times["settle"].append(settle_us / len(ends))
        _put(bench, names, len(ends))
    case = f"{depth:,} queued" + (f", {queues} queues" if queues > 1 else "")
    for figure, values in times.items():
        bench.report.add(NAME, case, figure, "µs/job", "rrq", summary(values).median)


def _put(bench: Bench, names: Sequence[str], count: int) -> None:
    jobs = [
        prepare(Job("noop", {}, queue_name=names[n % len(names)]), EnqueueDefaults()) for n in range(count)
    ]
    _run(bench, enqueue(KEYS, jobs))


def _run(bench: Bench, call: ScriptCall[Any]) -> Any:
    return call.result(bench.server.command(*call.eval_args()))


def _timed(bench: Bench, call: ScriptCall[Any]) -> tuple[Any, float]:
    """Carry out a call; return its result and its time on the wire and in Redis in µs."""
    arguments = call.eval_args()
    started_s = time.perf_counter()
    reply = bench.server.command(*arguments)
    taken_us = (time.perf_counter() - started_s) * 1e6
    return call.result(reply), taken_us
