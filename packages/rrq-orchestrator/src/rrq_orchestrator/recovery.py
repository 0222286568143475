"""The janitor every orchestrator is: fence the dead, take their jobs back (RELIABILITY.md 6.3, 6.6). No
leader.
"""

import asyncio
import random

import msgspec
from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.errors import RedisGone, RedisRefused
from rrq_orchestrator.observation import LeaseObserver
from rrq_orchestrator.service import PassSignal
from rrq_orchestrator.store.redis import RedisLink, RedisLinks
from rrq_protocol import Clock, Keyspace
from rrq_protocol.transitions import RecoveryPolicy, fence, recover

__all__ = ["Janitor"]

_LOOK_EVERY_S, _SHORTEST_S = 1.0, 0.025
_STUCK_TOLD = 100


class Janitor:
    """Looks at all leases once a second, and when one runs out. ``recovered`` counts the jobs it gave
    back.
    """

    name = "recovery"

    def __init__(
        self,
        *,
        keyspace: Keyspace,
        link: RedisLink,
        links: RedisLinks,
        policy: RecoveryPolicy,
        lease_s: float,
        beat_s: float,
        clock: Clock,
        rng: random.Random,
        log: FilteringBoundLogger,
    ) -> None:
        self.passes = PassSignal()
        self.recovered = 0
        self._stuck: dict[str, None] = {}
        self._keyspace, self._link, self._links, self._policy = keyspace, link, links, policy
        self._observer = LeaseObserver(lease_s, beat_s)
        self._clock, self._rng, self._log = clock, rng, log

    async def run(self) -> None:
        """Look, fence and recover until cancelled."""
        while True:
            try:
                await self._fence_the_dead()
                await self._recover_all()
            except (RedisGone, RedisRefused):
                self._observer.interrupted()
            self.passes.done()
            await asyncio.sleep(self._pause_s())

    def _pause_s(self) -> float:
        """Until a lease runs out, if that is soon; several orchestrators do not all look at that moment."""
        due_in_s = self._observer.due_in_s(self._clock.monotonic())
        return min(
            _LOOK_EVERY_S * (0.9 + self._rng.random() / 5), due_in_s + _SHORTEST_S * (1 + self._rng.random())
        )

    async def _fence_the_dead(self) -> None:
        seconds, micros = await self._link.command("TIME")
        rows = await self._link.command("ZRANGE", self._keyspace.workers, 0, -1, "WITHSCORES")
        leases = [(rows[i].decode("utf-8", "replace"), float(rows[i + 1])) for i in range(0, len(rows), 2)]
        server_ms = int(seconds) * 1000 + int(micros) / 1000
        for suspect in self._observer.look(self._clock.monotonic(), server_ms, leases):
            if await self._link.run(fence(self._keyspace, suspect.orchestrator_id, suspect.lease)):
                self._log.warning("orchestrator.fenced", orchestrator=suspect.orchestrator_id)

    async def _recover_all(self) -> None:
        for raw in await self._link.command("ZRANGE", self._keyspace.reaping, 0, -1):
            dead = raw.decode("utf-8", "replace")
            try:
                await self._recover(dead)
            except RedisGone:
                raise
            except Exception as error:  # noqa: BLE001 - keys of one must not keep others from being recovered
                self._tell_stuck(dead, error)
            else:
                self._stuck.pop(dead, None)

    async def _recover(self, dead: str) -> None:
        left = 1
        while left:
            done = await self._link.run(recover(self._keyspace, dead, self._policy))
            left = done.left
            self.recovered += done.recovered
            if done.recovered or done.dead_lettered or done.cancelled:
                self._log.warning("jobs.recovered", orchestrator=dead, **msgspec.structs.asdict(done))

    def _tell_stuck(self, dead: str, error: Exception) -> None:
        """Say, once for each, that jobs of a dead orchestrator cannot be taken back."""
        if dead not in self._stuck and len(self._stuck) < _STUCK_TOLD:
            self._stuck[dead] = None
            problem = error.problem if isinstance(error, RedisRefused) else f"{type(error).__name__}: {error}"
            self._log.error(
                "jobs.not_recovered",
                orchestrator=dead,
                problem=problem[:500],
                action="`rrq doctor` says more; it is tried again every second",
            )
