"""One life after another: prepare, run an orchestrator until a file changes, start over.

A life that ends by itself, or cannot begin because of a mistake in the files, is followed by the next one
after the next change. Only a stop ends the cycle.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal, Protocol

from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.errors import RedisRefused
from rrq_protocol import SettingsError

__all__ = ["Cycle", "Life", "Source"]

_POLITE_S: Final = 0.5
"""What running handlers have, once they were asked to end, before their processes are killed."""
_SHOWN: Final = 5


class Life(Protocol):
    """What is run over and over: an orchestrator."""

    def request_stop(self, reason: str | None = None) -> None:
        """Ask for an orderly stop, or, asked again, a fast one; ``reason`` is what jobs remember of it."""

    async def run(self) -> int:
        """Work until stopped; returns the exit code."""


class Source(Protocol):
    """Where changes come from: :class:`~rrq_orchestrator.watch.changes.Changes`."""

    async def next(self) -> list[str]:
        """Wait for the next changes."""


class Cycle:
    """See the module.

    Args:
        make: Makes an orchestrator from the files as they are now; may raise SettingsError.
        prepare: Runs before each start; False if there is to be none.
        changes: Where changes come from.
        log: Where restarts are told.
    """

    def __init__(
        self,
        *,
        make: Callable[[], Life],
        prepare: Callable[[], Awaitable[bool]],
        changes: Source,
        log: FilteringBoundLogger,
    ) -> None:
        self._make, self._prepare, self._changes, self._log = make, prepare, changes, log
        self._stop = asyncio.Event()
        self._life: Life | None = None
        self._lives = 0

    def request_stop(self) -> None:
        """Ask for the end of it all; asked again, for a fast one."""
        self._stop.set()
        if self._life is not None:
            self._life.request_stop()

    async def run(self) -> int:
        """Work until stopped; return the exit code of the last life.

        Raises:
            SettingsError: The first life cannot begin. Later ones wait for a change.
            RedisRefused: The same.
        """
        while True:
            changed = asyncio.ensure_future(self._changes.next())
            living = asyncio.ensure_future(self._live(changed))
            stop = asyncio.ensure_future(self._stop.wait())
            try:
                await asyncio.wait([living, changed, stop], return_when=asyncio.FIRST_COMPLETED)
                code = await self._end(living, stop)
                if not self._stop.is_set() and not changed.done():
                    self._log.warning("watch.waiting", action="the worker starts after the next change")
                    await asyncio.wait([changed, stop], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (living, changed, stop):
                    task.cancel()
                await asyncio.gather(living, changed, stop, return_exceptions=True)
            if self._stop.is_set():
                return code or 0
            self._tell(changed.result())

    async def _live(self, changed: "asyncio.Future[list[str]]") -> int | None:
        """Return an orchestrator's exit code, None where none came to run."""
        if not await self._prepare():
            return None
        if self._stop.is_set() or changed.done():
            return None
        self._life = self._make()
        try:
            return await self._life.run()
        finally:
            self._life = None

    async def _end(
        self, living: "asyncio.Future[int | None]", stop: "asyncio.Future[Literal[True]]"
    ) -> int | None:
        """See a life to its end, and say what was wrong with it."""
        if self._life is None:
            # It is over, or still preparing: a change does not interrupt that, it may be a migration.
            ends: tuple[asyncio.Future[Any], ...] = (living, stop)
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            living.cancel()
        elif not self._stop.is_set():
            self._life.request_stop("a file changed, and the worker started again")
            await asyncio.wait([living], timeout=_POLITE_S)
            if self._life is not None:
                self._life.request_stop()
        self._lives += 1
        try:
            return await living
        except asyncio.CancelledError:
            if not living.cancelled():
                raise
            return None
        except (SettingsError, RedisRefused) as error:
            if self._lives == 1:
                raise
            self._log.error("watch.not_started", problem=str(error))
            return None

    def _tell(self, paths: Sequence[str]) -> None:
        self._log.info("watch.changed", files=sorted(paths)[:_SHOWN], count=len(paths))
