"""How late ticks of a schedule are fired by several orchestrators, of which one after another is killed."""

import os
import signal
import time
from contextlib import ExitStack
from datetime import UTC, datetime

from benchmarks.numbers import percentile
from benchmarks.processes import BenchmarkError
from benchmarks.suites.bench import Bench
from benchmarks.systems import Load, Orchestrator, Ours
from rrq_protocol import Keyspace
from rrq_protocol.job import read_time

__all__ = ["run_cron"]

NAME = "cron"
ORCHESTRATORS = 5
READY_WITHIN_S = 60.0
LOOK_S = 0.05
LOAD = Load(1, 4)
KEYS = Keyspace()
ENTRY = """
[[rrq.cron_jobs]]
name = "tick"
function_name = "noop"
schedule = "* * * * * *"
missed = "all"
"""


class _Ticking(Ours):
    """RRQ with an entry that is due every second."""

    def settings(self, url: str, load: Load) -> str:
        """Return those of RRQ, and the entry."""
        return super().settings(url, load) + ENTRY


class _Fleet:
    """Orchestrators that fire the ticks; ``stack`` ends them."""

    def __init__(self, bench: Bench, stack: ExitStack) -> None:
        self._bench, self._stack, self._started = bench, stack, 0
        self._living: list[Orchestrator] = []

    def start(self) -> None:
        """Start one more."""
        self._started += 1
        folder = self._bench.folder / f"{NAME}-{self._started}"
        folder.mkdir(exist_ok=True)
        running = _Ticking().orchestrator(self._bench.server, LOAD, folder)
        self._living.append(self._stack.enter_context(running))

    def kill_oldest(self) -> None:
        """End one without giving it time for anything."""
        os.kill(self._living.pop(0).pid, signal.SIGKILL)

    def check(self) -> None:
        """Raise if one has ended that was not killed."""
        for orchestrator in self._living:
            orchestrator.check()


def run_cron(bench: Bench) -> None:
    """Measure how long after its instant each tick has its job (RELIABILITY.md G14)."""
    run_s, each_s = (2.0, 1.0) if bench.options.quick else (60.0, 10.0)
    case = f"{ORCHESTRATORS} orchestrators, one killed each {each_s:g} s"
    ours = [system for system in bench.systems if system.key == "rrq"]
    for _, title in bench.turns(NAME, ours):
        bench.progress.step(f"{title} · {run_s:g} s")
        with ExitStack() as stack:
            fleet = _Fleet(bench, stack)
            for _ in range(ORCHESTRATORS):
                fleet.start()
            _await_all(bench, fleet)
            first = max(_late_ms(bench))
            end_s = time.monotonic() + run_s
            kill_s = time.monotonic() + each_s
            while time.monotonic() < end_s:
                if time.monotonic() >= kill_s:
                    kill_s += each_s
                    fleet.kill_oldest()
                    fleet.start()
                fleet.check()
                time.sleep(LOOK_S)
        fired = _late_ms(bench)
        late = {tick: ms for tick, ms in fired.items() if tick > first}
        missing = max(late) - first - len(late)
        twice = int(bench.server.command("HGET", KEYS.stats("default"), "enqueued")) - len(fired)
        if missing or twice:
            raise BenchmarkError(f"{case}: {missing} ticks were not fired, {twice} more than once")
        values = list(late.values())
        bench.report.add(NAME, case, "ticks", "", Ours.key, len(values))
        for figure, share in (("late, p50", 0.5), ("late, p99", 0.99), ("late, longest", 1.0)):
            bench.report.add(NAME, case, figure, "ms", Ours.key, percentile(values, share))


def _await_all(bench: Bench, fleet: _Fleet) -> None:
    """Wait until all orchestrators are there, and a tick has been fired since."""
    give_up = time.monotonic() + READY_WITHIN_S
    wanted = 0
    while not wanted or len(_late_ms(bench)) < wanted:
        fleet.check()
        if time.monotonic() > give_up:
            raise BenchmarkError(f"no {ORCHESTRATORS} orchestrators fire ticks after {READY_WITHIN_S:g} s")
        if not wanted and int(bench.server.command("ZCARD", KEYS.workers)) == ORCHESTRATORS:
            wanted = len(_late_ms(bench)) + 1
        time.sleep(LOOK_S)


def _late_ms(bench: Bench) -> dict[int, float]:
    """Return how late each tick got its job, by the tick's epoch seconds."""
    start = KEYS.job("cron:tick:")
    found = {}
    for key in bench.server.command("KEYS", f"{start}*"):
        tick = datetime.strptime(key.decode()[len(start) :], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        enqueued = read_time(bench.server.command("HGET", key, "enqueue_time").decode())
        found[round(tick.timestamp())] = (enqueued - tick).total_seconds() * 1000
    return found
