"""Round trips of single jobs: enqueue → result seen by the one who enqueued it."""

import time

from benchmarks.numbers import percentile
from benchmarks.suites.bench import Bench
from benchmarks.systems import Load, System

__all__ = ["run_latency"]

NAME = "latency"
IDLE, LOADED = "idle", "half load"
SETTLED_S = 2.0
LOAD = Load(2, 64)


def run_latency(bench: Bench) -> None:
    """Measure round trips on an idle system, and beside a load of half of what the system can do."""
    for system, title in bench.turns(f"{NAME} {IDLE}"):
        _round_trips(bench, system, title, IDLE)
    if bench.options.quick:
        return
    peaks: dict[str, float] = {}
    for system, title in bench.turns(f"{NAME} {LOADED}"):
        if system.key not in peaks:
            known = bench.report.row("throughput", str(LOAD), "throughput")
            if known is not None and system.key in known.rounds:
                peaks[system.key] = known.summaries()[system.key].median
            else:
                peaks[system.key] = bench.rate(system, LOAD, f"{title} · finding the peak").jobs_per_s
            bench.server.empty()
        with system.producing(bench.server, "load", bench.folder, rate=peaks[system.key] / 2):
            _round_trips(bench, system, title, LOADED)


def _round_trips(bench: Bench, system: System, title: str, case: str) -> None:
    wanted = bench.options.jobs or (20 if bench.options.quick else 200)
    with system.orchestrator(bench.server, LOAD, bench.folder) as orchestrator:
        bench.progress.step(f"{title} · {wanted} round trips")
        time.sleep(0.2 if bench.options.quick else SETTLED_S)
        # A pause between them, so that each finds the system as idle as it gets.
        answer = system.produce(bench.server, "round_trips", jobs=wanted, pause_s=0.005)
        orchestrator.check()
    for figure, share in (("p50", 0.5), ("p99", 0.99)):
        bench.report.add(NAME, case, figure, "ms", system.key, percentile(answer["ms"], share))
