"""How fast dead letters are revived by ``rrq dlq requeue``, all of them and one queue among others."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.processes import BenchmarkError
from benchmarks.suites.bench import Bench
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

__all__ = ["run_requeue"]

NAME = "requeue"
DEAD = 100_000
STEP = 500
QUEUES = ("default", "mail")
CASES = {"all": (), "every second, by --queue": ("--queue", QUEUES[1])}
KEYS = Keyspace()
ME = "benchmark"
ERROR = "ValueError: boom"
MOST_CALLS = 100_000


def run_requeue(bench: Bench) -> None:
    """Measure jobs per second of the whole command, what Redis spends, and how long one call keeps it."""
    ours = [system for system in bench.systems if system.key == "rrq"]
    count = bench.options.jobs or (2 * STEP if bench.options.quick else DEAD)
    for case, words in CASES.items():
        for system, title in bench.turns(f"{NAME} {case}", ours):
            bench.progress.step(f"{title} · dead-lettering {count:,}")
            _bury(bench, count)
            bench.progress.step(f"{title} · {count:,} dead letters")
            with _watching(bench) as calls_us:
                before_s, started_s = bench.server.cpu_s(), time.perf_counter()
                _requeue(bench, words)
                taken_s, used_s = time.perf_counter() - started_s, bench.server.cpu_s() - before_s
            done = sum(bench.server.waiting([queue]) for queue in QUEUES)
            bench.report.add(NAME, case, "rate", "jobs/s", system.key, done / taken_s)
            bench.report.add(NAME, case, "CPU of Redis", "µs/job", system.key, used_s / done * 1e6)
            bench.report.add(NAME, case, "longest call", "ms", system.key, max(calls_us, default=0) / 1000)


def _requeue(bench: Bench, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "rrq_cli", "dlq", "requeue", "--all", *words]
    command += ["--redis-dsn", bench.server.url, "--prefix", KEYS.prefix]
    done = subprocess.run(command, cwd=bench.folder, check=False, capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkError(f"{NAME}: {done.stderr}")


@contextlib.contextmanager
def _watching(bench: Bench) -> Iterator[list[int]]:
    """Fill the list with the times of script calls in µs, when the block ends: others wait that long."""
    taken: list[int] = []
    bench.server.command("CONFIG", "SET", "slowlog-max-len", MOST_CALLS)
    bench.server.command("CONFIG", "SET", "slowlog-log-slower-than", 100)
    bench.server.command("SLOWLOG", "RESET")
    yield taken
    bench.server.command("CONFIG", "SET", "slowlog-log-slower-than", 10_000)
    for _, _, us, command, *_ in bench.server.command("SLOWLOG", "GET", MOST_CALLS):
        if command[0].upper().startswith(b"EVAL"):
            taken.append(us)


def _bury(bench: Bench, count: int) -> None:
    """Have so many jobs fail for good, of the queues by turns."""
    _run(bench, register(KEYS, Lease(ME, 600_000, b"{}", 600_000)))
    requests = [ClaimRequest(queue, "python", STEP) for queue in QUEUES]
    for start in range(0, count, STEP):
        jobs = [
            prepare(Job("noop", {"n": n}, queue_name=QUEUES[n % len(QUEUES)]), EnqueueDefaults())
            for n in range(start, min(start + STEP, count))
        ]
        _run(bench, enqueue(KEYS, jobs))
        taken = _run(bench, claim(KEYS, ME, requests, {"python": STEP})).jobs
        ends = [
            Settlement(job.id, job.claim_seq, SettleKind.FAIL, job.queue, ERROR, ttl_seconds=3600)
            for job in sorted(taken, key=lambda job: job.id)
        ]
        _run(bench, settle(KEYS, ME, ends))


def _run(bench: Bench, call: ScriptCall[Any]) -> Any:
    return call.result(bench.server.command(*call.eval_args()))
