"""Jobs a second that one producer process can enqueue."""

from benchmarks.suites.bench import Bench

__all__ = ["MODES", "run_enqueue"]

NAME = "enqueue"
MODES = {
    "one by one": "async, one by one",
    "blocking": "blocking, one by one",
    "gathered": "async, 100 gathered",
    "bulk": "bulk of 1,000",
}
JOBS = {"bulk": 100_000}


def run_enqueue(bench: Bench) -> None:
    """Measure each way of enqueuing; nothing works the jobs off meanwhile."""
    for mode, case in MODES.items():
        systems = [system for system in bench.systems if mode in system.modes]
        for system, title in bench.turns(f"{NAME} {case}", systems):
            jobs = bench.options.jobs or JOBS.get(mode, 10_000) // (20 if bench.options.quick else 1)
            bench.progress.step(f"{title} · {jobs:,} jobs")
            before_s = bench.server.cpu_s()
            answer = system.produce(bench.server, "enqueue", mode=mode, jobs=jobs)
            redis_us = (bench.server.cpu_s() - before_s) / jobs * 1e6
            bench.report.add(NAME, case, "rate", "jobs/s", system.key, jobs / answer["seconds"])
            bench.report.add(NAME, case, "CPU of Redis", "µs/job", system.key, redis_us)
