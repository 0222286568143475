"""What an orchestrator with ten queues and nothing to do costs."""

import time

from benchmarks.processes import cpu_s, rss_mib
from benchmarks.suites.bench import Bench
from benchmarks.systems import Load

__all__ = ["run_idle"]

NAME = "idle"
QUEUES = tuple(f"queue-{number}" for number in range(10))
SETTLED_S, OBSERVED_S = 4.0, 10.0


def run_idle(bench: Bench) -> None:
    """Watch an orchestrator, its runners and Redis for ten seconds."""
    settled_s, observed_s = (0.5, 1.0) if bench.options.quick else (SETTLED_S, OBSERVED_S)
    for system, title in bench.turns(f"{NAME} {len(QUEUES)} queues"):
        load = Load(2, 10, QUEUES)
        with system.orchestrator(bench.server, load, bench.folder) as orchestrator:
            bench.progress.step(title)
            time.sleep(settled_s)
            runners = [runner.pid for runner in orchestrator.runners()]
            started_s, before = time.monotonic(), _used(bench, orchestrator.pid, runners)
            time.sleep(observed_s)
            after, seconds = _used(bench, orchestrator.pid, runners), time.monotonic() - started_s
            orchestrator.check()
            memory = {
                "orchestrator": rss_mib(orchestrator.pid),
                "one runner": rss_mib(runners[0]) if runners else None,
            }
        for part, used in after.items():
            share = (used - before[part]) / seconds
            figure, value = (
                ("Redis commands", share) if part == "commands" else (f"CPU of {part}", share * 100)
            )
            bench.report.add(
                NAME, "10 queues", figure, "/s" if part == "commands" else "%", system.key, value
            )
        for part, mib in memory.items():
            if mib is not None:
                bench.report.add(NAME, "10 queues", f"memory of {part}", "MiB", system.key, mib)


def _used(bench: Bench, orchestrator: int, runners: list[int]) -> dict[str, float]:
    used: dict[str, float] = {"Redis": bench.server.cpu_s(), "commands": bench.server.commands()}
    own = cpu_s(orchestrator)
    if own is not None:
        used = {"orchestrator": own, "runners": sum(cpu_s(pid) or 0.0 for pid in runners), **used}
    return used
