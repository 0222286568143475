"""Fires the ticks of cron entries: one job per tick over all orchestrators (RELIABILITY.md 6.8, F51, F52).

There is no leader and no lock. Each orchestrator looks when a tick is due, by the server's clock, and asks
for the job of each due tick; the script accepts the first who asks and tells the others that it was fired.
What was fired last is in Redis alone, so a process that dies between any two steps leaves nothing behind that
another would have to know.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.cron.entries import CronEntry
from rrq_orchestrator.errors import RedisGone, RedisRefused
from rrq_orchestrator.service import PassSignal
from rrq_orchestrator.store.redis import RedisLink, RedisLinks
from rrq_protocol import Clock, Keyspace
from rrq_protocol.transitions import EnqueueKind, EnqueueReply, PreparedJob, anchor, enqueue

__all__ = ["Cron", "last_tick_ms"]

# How long the server's clock is believed without being asked: it may be set.
_LONGEST_SLEEP_S: Final = 5.0
# A tick is due once the server's clock shows it: rather a moment late than early, and asked twice.
_MARGIN_S: Final = 0.002
_AT_ONCE: Final = 100
_UNKNOWN: Final = (0, math.inf)

Sleep = Callable[[float], Awaitable[None]]


class _Moment(msgspec.Struct, frozen=True):
    """The server's time in ms, and our monotonic one when it was told."""

    server_ms: float
    monotonic_s: float


class Cron:
    """Fires ticks until it is cancelled. ``fired`` counts the jobs this process brought about."""

    name = "cron"

    def __init__(
        self,
        entries: Sequence[CronEntry],
        *,
        keyspace: Keyspace,
        link: RedisLink,
        links: RedisLinks,
        clock: Clock,
        log: FilteringBoundLogger,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.passes = PassSignal()
        self.fired = 0
        self._entries, self._keyspace, self._link, self._links = entries, keyspace, link, links
        self._clock, self._log, self._sleep = clock, log, sleep
        # Entries this process has noted, and the missed ticks it has told of; event loop only.
        self._anchored: set[str] = set()
        self._told: dict[str, int] = {}
        # By entry: a tick that is dealt with once Redis says so, and the next one (epoch ms). Nothing need be
        # decided again before either of the two tells otherwise.
        self._settled: dict[str, tuple[int, float]] = {}

    async def run(self) -> None:
        """Fire what is due, sleep until the next tick, until cancelled."""
        pauses = self._links.pauses()
        while True:
            try:
                pause_s = await self.fire_due()
            except (RedisGone, RedisRefused):
                self.passes.done()
                await pauses.pause()
                continue
            pauses = self._links.pauses()
            self.passes.done()
            await self._sleep(pause_s)

    async def fire_due(self, server_ms: int | None = None) -> float:
        """Fire the ticks that are due.

        Args:
            server_ms: The time to go by; None is the server's.

        Returns:
            Seconds until there is something to do again.

        Raises:
            RedisGone: Redis was lost. What was fired stays so; the rest is due at the next call.
            RedisRefused: Redis does not allow it.
        """
        moment, held = await self._look(server_ms)
        jobs: list[tuple[CronEntry, PreparedJob]] = []
        nexts = [_LONGEST_SLEEP_S]
        for entry, last_ms in zip(self._entries, held, strict=True):
            tick_ms, next_ms = self._settled.get(entry.name, _UNKNOWN)
            if (
                entry.name not in self._settled
                or last_ms is None
                or last_ms < tick_ms
                or moment.server_ms >= next_ms
            ):
                jobs += await self._decide(entry, last_ms, moment, server_ms)
                _, next_ms = self._settled.get(entry.name, _UNKNOWN)
            nexts.append((next_ms - moment.server_ms) / 1000)
        for first in range(0, len(jobs), _AT_ONCE):
            await self._enqueue(jobs[first : first + _AT_ONCE], server_ms)
        passed_s = self._clock.monotonic() - moment.monotonic_s
        return min(_LONGEST_SLEEP_S, max(0.0, min(nexts) - passed_s) + _MARGIN_S)

    async def _look(self, server_ms: int | None) -> tuple[_Moment, list[int | None]]:
        """Return the server's time, and the latest tick dealt with per entry; None for one not noted yet."""
        seconds, micros = await self._link.command("TIME")
        now_ms = int(seconds) * 1000 + int(micros) / 1000 if server_ms is None else server_ms
        moment = _Moment(now_ms, self._clock.monotonic())
        held = await self._link.batch(
            [("HGET", self._keyspace.cron(entry.name), "tick") for entry in self._entries]
        )
        return moment, [last_tick_ms(raw) for raw in held]

    async def _decide(
        self, entry: CronEntry, last_ms: int | None, moment: _Moment, server_ms: int | None
    ) -> list[tuple[CronEntry, PreparedJob]]:
        """Return the jobs of the ticks that are due, and note when the next one is."""
        from rrq_orchestrator.cron.ticks import due

        if last_ms is None or entry.name not in self._anchored:
            last_ms = await self._anchor(entry, server_ms)
            if last_ms is None:
                self._settled.pop(entry.name, None)
                return []
        now = due(entry.schedule, entry.missed, last_ms, moment.server_ms)
        if now.dropped is not None and self._told.get(entry.name, -1) < now.dropped:
            self._told[entry.name] = now.dropped
            self._log.warning(
                "cron.missed",
                entry=entry.name,
                latest_ms=now.dropped * 1000,
                since_ms=last_ms,
                made_up_for=now.late,
                missed=entry.missed.policy,
            )
        settled_ms = now.ticks[-1] * 1000 if now.ticks else last_ms
        self._settled[entry.name] = settled_ms, math.inf if now.next is None else now.next * 1000
        return [(entry, entry.job_at(tick)) for tick in now.ticks]

    async def _anchor(self, entry: CronEntry, server_ms: int | None) -> int | None:
        """Return since when the entry counts; None, and say so, if its key is of no use."""
        since_ms = await self._link.run(
            anchor(self._keyspace, entry.name, entry.fingerprint, now_ms=server_ms)
        )
        if since_ms is None:
            self._log.error(
                "cron.unusable_key",
                entry=entry.name,
                key=self._keyspace.cron(entry.name),
                action="delete the key; it must be a hash",
            )
        else:
            self._anchored.add(entry.name)
        return since_ms

    async def _enqueue(self, jobs: Sequence[tuple[CronEntry, PreparedJob]], server_ms: int | None) -> None:
        call = enqueue(self._keyspace, [job for _, job in jobs], now_ms=server_ms)
        try:
            replies = await self._link.run(call)
        except RedisRefused:
            if len(jobs) == 1:
                return  # the link has told of it; it is asked for again
            # The right may be missing for one of the queues.
            for one in jobs:
                await self._enqueue([one], server_ms)
            return
        for (entry, job), reply in zip(jobs, replies, strict=True):
            self._tell(entry, job, reply)

    def _tell(self, entry: CronEntry, job: PreparedJob, reply: EnqueueReply) -> None:
        match reply.kind:
            case EnqueueKind.CREATED:
                self.fired += 1
                self._log.info("cron.fired", entry=entry.name, job_id=job.job_id, queue=job.queue_name)
            case EnqueueKind.UNIQUE:
                self._log.info("cron.skipped", entry=entry.name, tick=job.job_id, running=reply.job_id)
            case EnqueueKind.EXISTS:  # another orchestrator was first, or our answer was lost
                self._log.debug("cron.already_fired", entry=entry.name, job_id=job.job_id)
            case kind:
                self._log.error(
                    "cron.not_fired", entry=entry.name, job_id=job.job_id, queue=job.queue_name, why=kind
                )


def last_tick_ms(raw: Any) -> int | None:
    """Return the stored tick; None where there is none, or something else."""
    return int(raw) if isinstance(raw, bytes) and raw.isdigit() and len(raw) <= 15 else None
