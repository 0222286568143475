"""Processes for requests that may kill theirs: brought up as many are suspected, gone when none is.

A runner that serves several requests per process cannot say which of them killed it. So all of them run
again, each alone in a process that takes one request at a time; only what kills its process there is charged
with it (RELIABILITY.md 6.6, F12, F14). These processes stand beside the ordinary pool, so that suspects do
not hold up other work, and long work does not hold up suspects (ADR 0017).
"""

from collections.abc import Callable
from functools import partial

import anyio
from msgspec.structs import replace

from rrq_orchestrator.runners.base import (
    Isolation,
    NoCapacity,
    RunnerHistory,
    RunnerListener,
    RunnerState,
)
from rrq_orchestrator.runners.place import Place
from rrq_orchestrator.runners.pool import Pool
from rrq_protocol import WireRequest

__all__ = ["IsolatingRunner", "Places"]


class Places:
    """All places of a runner. Implements :class:`.base.Isolation`.

    Args:
        name: The runner's name.
        make: Makes the pool of a place: one process with one slot.
        listener: Who hears of ends, under the runner's name.
        count: How many places there can be.

    Attributes:
        places: All there can be, whether up or not.
    """

    def __init__(
        self, name: str, make: Callable[[RunnerListener], Pool], listener: RunnerListener, count: int
    ) -> None:
        self._name = name
        self.places = [Place(name, make, listener) for _ in range(count)]
        self._stopping = False

    @property
    def pools(self) -> list[Pool]:
        """The pools of the places that are up, or coming up."""
        return [place.pool for place in self.places if place.pool is not None]

    @property
    def restarts(self) -> int:
        """Processes that came up in the place of dead ones."""
        return sum(place.restarts for place in self.places)

    @property
    def free(self) -> int:
        """See :class:`.base.Isolation`."""
        return sum(place.free for place in self.places)

    @property
    def room(self) -> int | None:
        """See :class:`.base.Isolation`."""
        if self._stopping:
            return None
        # All start the same command: where one does not come up and none is up, the others would not either.
        if any(place.is_broken for place in self.places) and not any(p.is_ready for p in self.places):
            return None
        return sum(place.room for place in self.places)

    def open(self, wanted: int) -> bool:
        """See :class:`.base.Isolation`."""
        if self.room is None:
            return False
        with_room = [place for place in self.places if place.room]
        for place in sorted(with_room, key=_readiness)[:wanted]:
            place.use()
        return True

    def submit(self, request: WireRequest) -> None:
        """See :class:`.base.Isolation`."""
        for place in self.places:
            if place.free:
                return place.submit(request)
        raise NoCapacity(self._name)

    async def run(self) -> None:
        """Bring processes up whenever they are wanted, until stopped or cancelled."""
        async with anyio.create_task_group() as tasks:
            for place in self.places:
                tasks.start_soon(place.run)

    async def stop(self, *, patient: bool = True) -> None:
        """End the processes as :meth:`.base.Runner.stop` does."""
        self._stopping = True
        async with anyio.create_task_group() as tasks:
            for place in self.places:
                tasks.start_soon(partial(place.stop, patient=patient))


def _readiness(place: Place) -> int:
    """Return what sorts empty places before those that are coming up, and these before those that are not
    there: as few are kept and started as will do.
    """
    return 0 if place.free else 1 if place.pool is not None else 2


class IsolatingRunner:
    """A :class:`.base.Runner` that has both: the ordinary pool, and one for suspects on demand."""

    def __init__(self, ordinary: Pool, isolation: Places) -> None:
        self._ordinary, self._isolation = ordinary, isolation

    @property
    def name(self) -> str:
        """See :class:`.base.Runner`."""
        return self._ordinary.name

    @property
    def free(self) -> int:
        """See :class:`.base.Runner`."""
        return self._ordinary.free

    @property
    def isolation(self) -> Isolation | None:
        """See :class:`.base.Runner`."""
        return self._isolation

    @property
    def capacity(self) -> int:
        """See :class:`.base.Runner`."""
        return self._ordinary.capacity

    @property
    def state(self) -> RunnerState:
        """See :class:`.base.Runner`."""
        return self._ordinary.state

    def submit(self, request: WireRequest) -> None:
        """See :class:`.base.Runner`."""
        self._ordinary.submit(request)

    def cancel(self, request_id: str, job_id: str, *, hard: bool = False) -> None:
        """See :class:`.base.Runner`."""
        for pool in self._pools():
            pool.cancel(request_id, job_id, hard=hard)

    def quarantine(self, request_id: str) -> bool:
        """See :class:`.base.Runner`."""
        return any(pool.quarantine(request_id) for pool in self._pools())

    def recycle(self) -> None:
        """See :class:`.base.Runner`."""
        for pool in self._pools():
            pool.recycle()

    def abandon(self, detail: str) -> None:
        """See :class:`.base.Runner`."""
        for pool in self._pools():
            pool.abandon(detail)

    @property
    def history(self) -> RunnerHistory:
        """See :class:`.base.Runner`."""
        ordinary = self._ordinary.history
        return replace(ordinary, restarts=ordinary.restarts + self._isolation.restarts)

    @property
    def processes(self) -> int:
        """See :class:`.base.Runner`. Those for suspects are wanted while they are there."""
        return sum(pool.processes for pool in self._pools())

    def has_handler(self, name: str) -> bool:
        """See :class:`.base.Runner`."""
        return self._ordinary.has_handler(name)

    def pids(self) -> list[int]:
        """See :class:`.base.Runner`."""
        return [pid for pool in self._pools() for pid in pool.pids()]

    async def run(self) -> None:
        """See :class:`.base.Runner`."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._isolation.run)
            await self._ordinary.run()
            # In order, also when the ordinary processes are gone first.
            await self._isolation.stop()
            tasks.cancel_scope.cancel()

    async def stop(self, *, patient: bool = True) -> None:
        """See :class:`.base.Runner`."""
        async with anyio.create_task_group() as tasks:
            for pool in (self._isolation, self._ordinary):
                tasks.start_soon(partial(pool.stop, patient=patient))

    def _pools(self) -> list[Pool]:
        return [self._ordinary, *self._isolation.pools]
