"""How an orchestrator stops waiting, and what it tells Redis before it goes (RELIABILITY.md 6.8)."""

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Final

from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.claim import ClaimLoop
from rrq_orchestrator.heartbeat import Heartbeat
from rrq_orchestrator.settle import Settler
from rrq_orchestrator.store import RedisLink, RedisLinks

__all__ = ["Farewell", "StopRequest"]

_FLUSH_S: Final = 10.0
_URGENT_FLUSH_S: Final = 2.0
_COURTESY_S: Final = 0.5
"""To take our row away, while Redis is not to be had and no job is concerned: others do it when it lapses."""


class StopRequest:
    """Whether a stop was asked for, and whether it was asked for again, by somebody in a hurry."""

    def __init__(self) -> None:
        self.asked, self.urgent = asyncio.Event(), asyncio.Event()

    def ask(self) -> None:
        """Ask for an orderly stop; asked again, for a fast one."""
        if self.asked.is_set():
            self.urgent.set()
        self.asked.set()

    async def within(self, seconds: float, work: Awaitable[object]) -> None:
        """Wait for ``work``, at most ``seconds``, and not at all once there is a hurry; then cancel it."""
        task, urgent = asyncio.ensure_future(work), asyncio.ensure_future(self.urgent.wait())
        timeout_s = max(0.0, seconds) if seconds < float("inf") else None
        try:
            await asyncio.wait([task, urgent], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
            urgent.cancel()


class Farewell:
    """Tells Redis all there is to tell: ends of attempts, jobs taken by a claim that got no answer, and that
    we are gone.
    """

    def __init__(
        self,
        *,
        settler: Settler,
        claims: ClaimLoop,
        heartbeat: Heartbeat,
        links: RedisLinks,
        link: RedisLink,
        log: FilteringBoundLogger,
    ) -> None:
        self._settler, self._claims, self._heartbeat = settler, claims, heartbeat
        self._links, self._link, self._log = links, link, log

    @property
    def is_owed(self) -> bool:
        """Whether Redis has to be told of a job."""
        return self._settler.waiting > 0 or self._claims.in_doubt

    async def take(self, stop: StopRequest, grace_left_s: float) -> bool:
        """Say it, if it can be said in time; once no attempt runs any more.

        Args:
            stop: A hurry shortens it to two seconds.
            grace_left_s: What is left of the shutdown grace.

        Returns:
            False if Redis was not told of a job, which others then recover.
        """
        telling = asyncio.ensure_future(self._tell_all())
        if not stop.urgent.is_set():
            await stop.within(self._time_s(grace_left_s), asyncio.shield(telling))
        if stop.urgent.is_set():
            await asyncio.wait([telling], timeout=_URGENT_FLUSH_S)
        if telling.done():
            telling.result()
            self._log.info("orchestrator.stopped")
            return True
        telling.cancel()
        await asyncio.wait([telling])
        if self.is_owed:
            self._log.error("orchestrator.abandoned", unwritten=self._settler.waiting)
            return False
        self._log.warning("orchestrator.stopped", still_registered=True, reason="Redis cannot be told")
        return True

    def _time_s(self, grace_left_s: float) -> float:
        if self._links.connected:
            return _FLUSH_S
        if not self.is_owed:
            return _COURTESY_S
        # One that refuses writes is not about to change its mind; one that is away may just be restarting.
        return max(grace_left_s, _COURTESY_S) if self._links.refuses_writes else _FLUSH_S

    async def _tell_all(self) -> None:
        owner = self._heartbeat.orchestrator_id
        await self._settler.flushed()
        await self._link.until_done(partial(self._claims.give_back_unknown, owner))
        await self._heartbeat.stopped()
        await self._link.run_until_done(self._heartbeat.leave())
