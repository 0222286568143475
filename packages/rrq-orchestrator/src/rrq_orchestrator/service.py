"""What all long-running parts of the orchestrator have in common (ARCHITECTURE.md *Concurrency inside the
orchestrator*).

A service is one object in one file: settings in, ``run()`` until cancelled. Redis errors are handled inside,
by repeating. Any other exception is a defect. Where it may come of what somebody wrote into Redis, it would
meet every orchestrator in turn, so the service is run again (:class:`Persevering`), and readiness says so. In
those that hold the lease and write the ends it ends the process with a non-zero code: then the lease lapses
and others take over.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from structlog.typing import FilteringBoundLogger

from rrq_protocol import LogLimit

__all__ = ["PassSignal", "Perseverance", "Persevering", "Service"]

_TELL_EVERY_S: Final = 10.0


class Service(Protocol):
    """A part that runs as long as the orchestrator does."""

    name: str
    passes: "PassSignal"

    async def run(self) -> None:
        """Do the work until cancelled."""


class PassSignal:
    """Counts the passes of a service, and lets tests wait for one instead of sleeping."""

    def __init__(self) -> None:
        self.count = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    def done(self) -> None:
        """Note that a pass ended."""
        self.count += 1
        for target, waiter in self._waiters:
            if target <= self.count and not waiter.done():
                waiter.set_result(None)
        self._waiters = [(target, waiter) for target, waiter in self._waiters if not waiter.done()]

    async def next(self, passes: int = 1) -> None:
        """Wait until that many further passes have ended."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((self.count + passes, waiter))
        await waiter


class Pauses(Protocol):
    """Growing pauses between attempts."""

    async def pause(self) -> None: ...


class Persevering:
    """Runs a service again after an error it does not know; tells it at once, and every 10 s while it lasts.

    Args:
        service: The service; its ``run`` can be called again.
        pauses: Makes the pauses in between.
        log: Where it is told.
    """

    def __init__(self, service: Service, pauses: Callable[[], Pauses], log: FilteringBoundLogger) -> None:
        self.name, self.passes = service.name, service.passes
        self._run: Callable[[], Coroutine[Any, Any, None]] = service.run
        self._pauses, self._log = pauses, log
        self._failed_at: int | None = None
        self._limit = LogLimit(_TELL_EVERY_S)

    @property
    def failing(self) -> bool:
        """Whether it has failed, and not got through a pass since."""
        return self._failed_at == self.passes.count

    async def run(self) -> None:
        """Run the service until it ends by itself or is cancelled."""
        pauses = self._pauses()
        while True:
            begun = self.passes.count
            try:
                await self._run()
                return
            except Exception as error:  # noqa: BLE001 - that is what this class is for
                if self.passes.count > begun:
                    pauses = self._pauses()
                self._failed(error)
            await pauses.pause()

    def _failed(self, error: Exception) -> None:
        self._failed_at = self.passes.count
        untold = self._limit.take(asyncio.get_running_loop().time())
        if untold is not None:
            self._log.error(
                "service.failed",
                service=self.name,
                error=f"{type(error).__name__}: {error}"[:500],
                untold=untold,
                action="it is run again; report this",
                exc_info=error,
            )


class Perseverance:
    """Which services of an orchestrator are run again when they fail.

    Args:
        pauses, log: See :class:`Persevering`.
        burst: None is: one that always fails would never end.
    """

    def __init__(self, pauses: Callable[[], Pauses], log: FilteringBoundLogger, *, burst: bool) -> None:
        self._pauses, self._log, self._burst = pauses, log, burst
        self._services: list[Persevering] = []

    def of(self, service: Service) -> Service:
        """Return what is to be run in place of ``service``."""
        if self._burst:
            return service
        self._services.append(Persevering(service, self._pauses, self._log))
        return self._services[-1]

    def failing(self) -> tuple[str, ...]:
        """Return the names of those that fail at present."""
        return tuple(each.name for each in self._services if each.failing)
