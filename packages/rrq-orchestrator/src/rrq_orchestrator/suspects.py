"""Attempts that have to run alone: which wait, and which may start now. Pure bookkeeping.

A job is a suspect when it was in a process that died (RELIABILITY.md 6.6). Waiting costs it nothing: its time
has not started.
"""

from collections import deque
from collections.abc import Iterator, Mapping

from rrq_orchestrator.attempts import Attempt, Stage
from rrq_orchestrator.runners.base import Isolation, Runner

__all__ = ["Suspects"]


class Suspects:
    """Waiting attempts per runner, in the order they came. An attempt that was ended meanwhile is passed
    over.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Attempt]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def detain(self, attempt: Attempt, runner: Runner | None) -> bool:
        """Let an attempt wait for a place of its own. False if its runner has no such places."""
        if runner is None or runner.isolation is None:
            return False
        waiting = self._waiting.get(attempt.runner, deque())
        if not runner.isolation.open(len(waiting) + 1):
            return False
        attempt.wait()
        waiting.append(attempt)
        self._waiting[attempt.runner] = waiting
        return True

    def prepare(self, runner: Runner, count: int) -> None:
        """So many suspects were made. Where no ordinary process is left nothing is claimed for a while: the
        places come up meanwhile, and not after that.
        """
        if runner.isolation is not None and not runner.capacity:
            runner.isolation.open(count)

    def room(self, runners: Mapping[str, Runner]) -> dict[str, int]:
        """Return how many more attempts can be taken, per runner that has places. Others wait in their
        queue, where whoever has a place first takes them, and where no death holds them up.
        """
        return {
            name: max(0, room - len(self._waiting.get(name, ()))) for name, room in _rooms(runners).items()
        }

    def surplus(self, runners: Mapping[str, Runner]) -> Iterator[Attempt]:
        """Yield the attempts for which no place is left, the latest first: one they waited for does not come
        up. Elsewhere there may be one; here they would wait for the ends of others.
        """
        for name, room in _rooms(runners).items():
            waiting = self._waiting.get(name, deque())
            while len(waiting) > room:
                attempt = waiting.pop()
                if attempt.stage is Stage.WAITING:
                    yield attempt
            if not waiting:
                self._waiting.pop(name, None)

    def released(self, runners: Mapping[str, Runner]) -> Iterator[tuple[Attempt, Runner | Isolation]]:
        """Yield the attempts that can start, and where; each is to be submitted before the next is asked
        for.
        """
        for name, waiting in list(self._waiting.items()):
            runner = runners[name]
            while waiting:
                place = _place(runner, len(waiting))
                if place is None:
                    break
                attempt = waiting.popleft()
                if attempt.stage is Stage.WAITING:
                    yield attempt, place
            if not waiting:
                self._waiting.pop(name, None)


def _rooms(runners: Mapping[str, Runner]) -> dict[str, int]:
    return {
        name: isolation.room
        for name, runner in runners.items()
        if (isolation := runner.isolation) is not None and isolation.room is not None
    }


def _place(runner: Runner, waiting: int) -> Runner | Isolation | None:
    isolation = runner.isolation
    # Where no process for it comes up, running among others is better than not running.
    where = isolation if isolation is not None and isolation.open(waiting) else runner
    return where if where.free > 0 else None
