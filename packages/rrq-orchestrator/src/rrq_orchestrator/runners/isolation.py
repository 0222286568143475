"""Processes for requests that may kill theirs: brought up when one is suspected, gone when none is.

A runner that serves several requests per process cannot say which of them killed it. So all of them run
again, each alone in a process that takes one request at a time; only what kills its process there is charged
with it (RELIABILITY.md 6.6, F12, F14). These processes are a pool of their own beside the ordinary one, so
that suspects do not hold up other work, and long work does not hold up suspects (ADR 0017).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import anyio
from msgspec.structs import replace

from rrq_orchestrator.runners.base import (
    Isolation,
    LostCause,
    NoCapacity,
    RunnerHistory,
    RunnerListener,
    RunnerState,
)
from rrq_orchestrator.runners.pool import Pool
from rrq_protocol import WireOutcome, WireRequest

__all__ = ["IsolatingRunner", "OnDemandPool"]

_LINGER_S: Final = 30.0


class OnDemandPool:
    """A pool that exists while it is used, and some seconds longer. Implements :class:`.base.Isolation`.

    Args:
        name: The runner's name.
        make: Makes the pool, whose processes take one request each.
        listener: Who hears of ends, under the runner's name.
        places: How many processes the pool has.

    Attributes:
        linger_s: How long it stays without use.
    """

    def __init__(
        self, name: str, make: Callable[[RunnerListener], Pool], listener: RunnerListener, places: int
    ) -> None:
        self._name, self._make, self._listener, self._places = name, make, listener, places
        self.linger_s = _LINGER_S
        self._pool: Pool | None = None
        self._wanted = anyio.Event()
        self._uses = 0
        self._restarts = 0
        self._stopping = False

    @property
    def pool(self) -> Pool | None:
        """The pool, while there is one."""
        return self._pool

    @property
    def restarts(self) -> int:
        """Processes that came up in the place of earlier ones, in all of its pools so far."""
        return self._restarts + (self._pool.history.restarts if self._pool is not None else 0)

    # As an Isolation.

    @property
    def free(self) -> int:
        """See :class:`.base.Isolation`."""
        return self._pool.free if self._pool is not None else 0

    @property
    def room(self) -> int | None:
        """See :class:`.base.Isolation`."""
        pool = self._pool
        if self._stopping or (pool is not None and pool.state == "broken"):
            return None
        return pool.free if pool is not None and pool.state == "ready" else self._places

    def open(self) -> bool:
        """See :class:`.base.Isolation`."""
        if self.room is None:
            return False
        self._uses += 1
        self._wanted.set()
        return True

    def submit(self, request: WireRequest) -> None:
        """See :class:`.base.Isolation`."""
        if self._pool is None:
            raise NoCapacity(self._name)
        self._pool.submit(request)

    # As the listener of its pool.

    def outcome(self, runner: str, outcome: WireOutcome) -> None:
        """See :class:`.base.RunnerListener`."""
        self._listener.outcome(self._name, outcome)

    def lost(self, runner: str, request_ids: Sequence[str], cause: LostCause, detail: str) -> None:
        """See :class:`.base.RunnerListener`."""
        self._listener.lost(self._name, request_ids, cause, detail)

    def capacity_changed(self, runner: str) -> None:
        """See :class:`.base.RunnerListener`."""
        self._listener.capacity_changed(self._name)

    # Its life.

    async def run(self) -> None:
        """Bring the pool up whenever it is wanted, until stopped or cancelled."""
        while True:
            await self._wanted.wait()
            if self._stopping:
                return
            pool = self._pool = self._make(self)
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(pool.run)
                    await self._unused(pool)
                    # Wanted again from now on means: another pool, after this one.
                    self._wanted = anyio.Event()
                    await pool.stop()
            finally:
                self._restarts = self.restarts
                self._pool = None

    async def _unused(self, pool: Pool) -> None:
        seen = -1
        while pool.state == "starting" or pool.free < pool.capacity or seen != self._uses:
            seen = self._uses
            await anyio.sleep(self.linger_s)

    async def stop(self, *, patient: bool = True) -> None:
        """End the pool as :meth:`.base.Runner.stop` does."""
        self._stopping = True
        self._wanted.set()
        if self._pool is not None:
            await self._pool.stop(patient=patient)


class IsolatingRunner:
    """A :class:`.base.Runner` that has both: the ordinary pool, and one for suspects on demand."""

    def __init__(self, ordinary: Pool, isolation: OnDemandPool) -> None:
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
        return [self._ordinary] + ([self._isolation.pool] if self._isolation.pool is not None else [])
