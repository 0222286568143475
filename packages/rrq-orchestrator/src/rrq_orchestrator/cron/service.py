"""Fires the ticks of cron entries: one job per tick over all orchestrators (RELIABILITY.md 6.8, F51, F52).

There is no leader and no lock. Each orchestrator looks when a tick is due, by the server's clock, and asks
for the job of each due tick; the script accepts the first who asks and tells the others that it was fired.
What was fired last is in Redis alone, so a process that dies between any two steps leaves nothing behind that
another would have to know.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.cron.entries import CronEntry
from rrq_orchestrator.errors import RedisGone, RedisRefused
from rrq_orchestrator.service import PassSignal
from rrq_orchestrator.store.redis import RedisLink, RedisLinks
from rrq_protocol import Clock, Keyspace
from rrq_protocol.transitions import EnqueueKind, anchor, enqueue

__all__ = ["Cron", "last_tick_ms"]

# How long the server's clock is believed without being asked: it may be set.
_LONGEST_SLEEP_S: Final = 5.0
# A tick is due once the server's clock shows it: rather a moment late than early, and asked twice.
_MARGIN_S: Final = 0.002
_AT_ONCE: Final = 100

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
        nows: list[float] = []
        moment, held = await self._look(server_ms)
        for entry, last in zip(self._entries, held, strict=True):
            next_tick = await self._fire(entry, last, moment, server_ms)
            if next_tick is not None:
                nows.append(next_tick - moment.server_ms / 1000)
        passed_s = self._clock.monotonic() - moment.monotonic_s
        return min(_LONGEST_SLEEP_S, max(0.0, min(nows, default=_LONGEST_SLEEP_S) - passed_s) + _MARGIN_S)

    async def _look(self, server_ms: int | None) -> tuple[_Moment, list[int | None]]:
        """Return the server's time, and the latest tick dealt with per entry; None for one not noted yet."""
        keys = [self._keyspace.cron(entry.name) for entry in self._entries]
        time, *held = await self._link.batch([("TIME",), *(("HGET", key, "tick") for key in keys)])
        seconds, micros = time
        now_ms = int(seconds) * 1000 + int(micros) / 1000 if server_ms is None else server_ms
        return _Moment(now_ms, self._clock.monotonic()), [last_tick_ms(raw) for raw in held]

    async def _fire(
        self, entry: CronEntry, last_ms: int | None, moment: _Moment, server_ms: int | None
    ) -> int | None:
        from rrq_orchestrator.cron.ticks import due

        if last_ms is None or entry.name not in self._anchored:
            last_ms = await self._link.run(
                anchor(self._keyspace, entry.name, entry.fingerprint, now_ms=server_ms)
            )
            if last_ms is None:
                self._log.error(
                    "cron.unusable_key",
                    entry=entry.name,
                    key=self._keyspace.cron(entry.name),
                    action="delete the key; it must be a hash",
                )
                return None
            self._anchored.add(entry.name)
        now = due(entry.schedule, entry.catch_up, last_ms, moment.server_ms)
        if now.dropped is not None and self._told.get(entry.name, -1) < now.dropped:
            self._told[entry.name] = now.dropped
            self._log.warning(
                "cron.missed",
                entry=entry.name,
                latest=now.dropped,
                since_ms=last_ms,
                made_up_for=now.late,
                catch_up=entry.catch_up.policy,
            )
        for first in range(0, len(now.ticks), _AT_ONCE):
            await self._enqueue(entry, now.ticks[first : first + _AT_ONCE], server_ms)
        return now.next

    async def _enqueue(self, entry: CronEntry, ticks: Sequence[int], server_ms: int | None) -> None:
        jobs = [entry.job_at(tick) for tick in ticks]
        replies = await self._link.run(enqueue(self._keyspace, jobs, now_ms=server_ms))
        for job, reply in zip(jobs, replies, strict=True):
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
