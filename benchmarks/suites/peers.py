"""The comparison in one table: the ratios of what the other benchmarks of this run measured."""

from benchmarks.report import Row
from benchmarks.suites.bench import Bench
from benchmarks.suites.enqueue import run_enqueue
from benchmarks.suites.idle import run_idle
from benchmarks.suites.latency import run_latency
from benchmarks.suites.throughput import run_throughput

__all__ = ["compared", "run_peers"]

BASES = {
    "throughput": run_throughput,
    "latency": run_latency,
    "enqueue": run_enqueue,
    "idle": run_idle,
}
FIGURES = {
    "throughput": ("throughput",),
    "latency": ("p50", "p99"),
    "enqueue": ("rate",),
    "idle": ("CPU of orchestrator",),
}


def run_peers(bench: Bench) -> None:
    """Run whichever of the compared benchmarks has not run yet."""
    for name, run in BASES.items():
        if not bench.report.rows(name):
            run(bench)


def compared(rows: list[Row]) -> list[Row]:
    """Return the rows of the comparison: the leading figures that more than one system has."""
    return [
        row._replace(case=f"{row.benchmark}, {row.case}")
        for row in rows
        if row.figure in FIGURES.get(row.benchmark, ()) and len(row.rounds) > 1
    ]
