"""Jobs a second through an orchestrator and separate runner processes, and what a job costs each part."""

from benchmarks.suites.bench import Bench
from benchmarks.systems import Load

__all__ = ["CASES", "run_throughput"]

NAME = "throughput"
CASES = (Load(2, 64), Load(2, 10), Load(1, 128), Load(None, None))


def run_throughput(bench: Bench) -> None:
    """Measure each load; no-op handler, jobs enqueued beforehand, steady rate between 20 % and 90 % done."""
    for load in CASES[:1] if bench.options.quick else CASES:
        systems = [system for system in bench.systems if system.takes(load)]
        for system, title in bench.turns(f"{NAME} {load}", systems):
            measured = bench.rate(system, load, title)
            bench.report.add(NAME, str(load), "throughput", "jobs/s", system.key, measured.jobs_per_s)
            for part, cost in measured.cpu_us_per_job.items():
                bench.report.add(NAME, str(load), f"CPU of {part}", "µs/job", system.key, cost)
