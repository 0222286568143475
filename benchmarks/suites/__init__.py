"""One module per benchmark."""

from benchmarks.suites.bench import Bench
from benchmarks.suites.cron import run_cron
from benchmarks.suites.enqueue import run_enqueue
from benchmarks.suites.growth import run_growth
from benchmarks.suites.idle import run_idle
from benchmarks.suites.latency import run_latency
from benchmarks.suites.peers import run_peers
from benchmarks.suites.requeue import run_requeue
from benchmarks.suites.throughput import run_throughput

__all__ = [
    "Bench",
    "run_cron",
    "run_enqueue",
    "run_growth",
    "run_idle",
    "run_latency",
    "run_peers",
    "run_requeue",
    "run_throughput",
]
