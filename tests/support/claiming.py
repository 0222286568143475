"""For tests of the claim loop: one on a bench, with what it needs beside it."""

import asyncio
from collections.abc import Callable
from typing import Any

from rrq_orchestrator.claim import ClaimLoop, ClaimPlan, Membership
from rrq_orchestrator.routing import Routes
from rrq_orchestrator.runners.base import Runner
from rrq_orchestrator.store.redis import RedisLink
from rrq_orchestrator.waker import Waker
from support.orchestrating import LOG, Bench, StandInRunner

__all__ = ["PATIENT", "Claiming", "Member", "claim_loop"]


class Member:
    """A membership without a heartbeat."""

    def __init__(self) -> None:
        self.orchestrator_id = "o1"
        self.told: list[str] = []
        self._ok = asyncio.Event()
        self._ok.set()

    @property
    def is_registered(self) -> bool:
        return self._ok.is_set()

    async def registered(self) -> None:
        await self._ok.wait()

    def fenced(self, orchestrator_id: str) -> None:
        self.told.append(orchestrator_id)
        self._ok.clear()


def claim_loop(
    bench: Bench, plan: ClaimPlan, link: RedisLink, membership: Membership, waker: Waker
) -> ClaimLoop:
    """Return a claim loop on a bench, which is not running yet."""
    return ClaimLoop(
        plan,
        keyspace=bench.keyspace,
        link=link,
        links=bench.links,
        membership=membership,
        waker=waker,
        dispatcher=bench.dispatcher,
        settler=bench.settler,
        routes=Routes("python"),
        clock=bench.clock,
        rng=bench.rng,
        log=LOG,
    )


class Claiming:
    """A claim loop on a bench, with whatever runs beside it.

    Args:
        bench: What it works on.
        plan: Its settings.
        wrap: What stands between the loop and its connection.
        runners: By name; the bench's own as "python", if none is given.
    """

    def __init__(
        self,
        bench: Bench,
        plan: ClaimPlan,
        wrap: Callable[[RedisLink], Any] = lambda link: link,
        **runners: StandInRunner,
    ) -> None:
        self.member = Member()
        waker = Waker(bench.keyspace, bench.links.make("wake"), bench.links, self._wake)
        self.loop = claim_loop(bench, plan, wrap(bench.links.make("claim")), self.member, waker)
        there: dict[str, Runner] = {**runners} or {"python": bench.runner}
        bench.dispatcher.connect(there, self.loop.capacity_freed)
        self.tasks = [asyncio.create_task(run()) for run in (self.loop.run, waker.run, bench.settler.run)]

    def _wake(self, queue: str) -> None:
        self.loop.wake(queue)

    async def stop(self) -> None:
        self.loop.stop()
        await self.tasks[0]
        for task in self.tasks:
            task.cancel()


PATIENT = ClaimPlan({"default": 1}, poll_s=30.0)
"""Would not look again by itself while a test runs: what happens, happens because of an event."""
