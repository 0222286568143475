"""One process for requests that may kill theirs: brought up when it is wanted, gone some seconds after its
last use.
"""

from collections.abc import Callable, Sequence
from typing import Final

import anyio

from rrq_orchestrator.runners.base import LostCause, NoCapacity, RunnerListener
from rrq_orchestrator.runners.pool import Pool
from rrq_orchestrator.service import PassSignal
from rrq_protocol import WireOutcome, WireRequest

__all__ = ["Place"]

_LINGER_S: Final = 30.0


class Place:
    """A pool of a single process with a single slot, that exists while it is used, and some seconds longer.

    Args:
        name: The runner's name.
        make: Makes the pool.
        listener: Who hears of ends, under the runner's name.

    Attributes:
        linger_s: How long it stays without use.
        looks: A pass for each look whether it is used.
    """

    def __init__(self, name: str, make: Callable[[RunnerListener], Pool], listener: RunnerListener) -> None:
        self._name, self._make, self._listener = name, make, listener
        self.linger_s, self.looks = _LINGER_S, PassSignal()
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
        """Processes that came up in the place of dead ones, in all of its pools so far."""
        return self._restarts + (self._pool.history.restarts if self._pool is not None else 0)

    @property
    def free(self) -> int:
        """1 if its process is up and empty, and the one it replaced has ended its request too."""
        return self._pool.free if self._pool is not None and not self._pool.busy else 0

    @property
    def is_ready(self) -> bool:
        """Whether its process is up."""
        return self._pool is not None and self._pool.state == "ready"

    @property
    def is_broken(self) -> bool:
        """Whether its process does not come up."""
        return self._pool is not None and self._pool.state == "broken"

    @property
    def room(self) -> int:
        """1 if a request finds it empty, now or as soon as its process is up."""
        if self._pool is None:
            return 1
        return self.free if self.is_ready else int(not self.is_broken and not self._pool.busy)

    def use(self) -> None:
        """Bring the process up, if it is not; keep it up."""
        self._uses += 1
        self._wanted.set()

    def submit(self, request: WireRequest) -> None:
        """See :meth:`.base.Runner.submit`."""
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
        """Bring the process up whenever it is wanted, until stopped or cancelled."""
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
        while pool.state == "starting" or pool.busy or seen != self._uses:
            seen = self._uses
            await anyio.sleep(self.linger_s)
            self.looks.done()

    async def stop(self, *, patient: bool = True) -> None:
        """End the process as :meth:`.base.Runner.stop` does."""
        self._stopping = True
        self._wanted.set()
        if self._pool is not None:
            await self._pool.stop(patient=patient)
