"""What an orchestrator counts on the way of its jobs: plain numbers, made into metrics when somebody asks
(:mod:`rrq_orchestrator.http.metrics`). No I/O.

Names come from outside, so each set of them is bounded: queues are those served, runners those configured,
functions those that a runner said it has, and of them the first :data:`MAX_FUNCTIONS`.
"""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

from rrq_orchestrator.attempts import Attempt
from rrq_orchestrator.runners.base import Runner
from rrq_protocol.transitions import SettleKind

__all__ = ["MAX_FUNCTIONS", "OTHER", "RUN_BOUNDS_S", "WAIT_BOUNDS_S", "Histogram", "Meters"]

MAX_FUNCTIONS: Final = 200
OTHER: Final = "other"
"""Stands for every name beyond the bounds."""
WAIT_BOUNDS_S: Final = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
    1800.0,
)
RUN_BOUNDS_S: Final = (0.001, *WAIT_BOUNDS_S, 3600.0)


class Histogram:
    """Counts per bucket, each up to and with its bound, the last one for what is beyond; and the sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds, self.counts, self.total = bounds, [0] * (len(bounds) + 1), 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Meters:
    """Written in the event loop, by the dispatcher only.

    Attributes:
        waits: By queue, seconds from when a job was due until it was claimed.
        runs: By queue and runner, seconds from dispatch to the end of an attempt, unless it was given back.
        ended: Attempts by queue, runner and how they ended.
        functions: The same by function.
        malformed: Records by queue that could not be read.
    """

    def __init__(self) -> None:
        self.waits: dict[str, Histogram] = {}
        self.runs: dict[tuple[str, str], Histogram] = {}
        self.ended: dict[tuple[str, str, SettleKind], int] = {}
        self.functions: dict[tuple[str, SettleKind], int] = {}
        self.malformed: dict[str, int] = {}
        self._known: set[str] = set()

    def claim(self, queue: str, wait_ms: float) -> None:
        """Count a claimed job. A wait is measured with two clocks, and never negative here."""
        waits = self.waits.get(queue)
        if waits is None:
            waits = self.waits[queue] = Histogram(WAIT_BOUNDS_S)
        waits.add(wait_ms / 1000 if wait_ms > 0 else 0.0)

    def refuse(self, queue: str) -> None:
        """Count a record that cannot be read."""
        self.malformed[queue] = self.malformed.get(queue, 0) + 1

    def end(self, attempt: Attempt, kind: SettleKind, now_s: float, runners: Mapping[str, Runner]) -> None:
        """Count the end of an attempt, at ``now_s`` of its own clock."""
        queue = attempt.job.queue
        runner = attempt.runner if attempt.runner in runners else OTHER
        ended = (queue, runner, kind)
        self.ended[ended] = self.ended.get(ended, 0) + 1
        function = (self._function(attempt, runners), kind)
        self.functions[function] = self.functions.get(function, 0) + 1
        if kind is SettleKind.RELEASE:
            return
        runs = self.runs.get((queue, runner))
        if runs is None:
            runs = self.runs[queue, runner] = Histogram(RUN_BOUNDS_S)
        runs.add(max(0.0, now_s - attempt.started_s))

    def _function(self, attempt: Attempt, runners: Mapping[str, Runner]) -> str:
        name = attempt.handler
        if name in self._known:
            return name
        runner = runners.get(attempt.runner)
        if len(self._known) >= MAX_FUNCTIONS or runner is None or not runner.has_handler(name):
            return OTHER
        self._known.add(name)
        return name
