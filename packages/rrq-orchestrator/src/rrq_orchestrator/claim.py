"""The claim loop: take as many due jobs as there are free slots, as soon as there are both (ARCHITECTURE.md,
step 3).

It sleeps until one of these: a wake marker, the next due time, a slot that became free while jobs are known
to be ready, or the fallback poll, which finds jobs of producers that leave no marker. While nothing happens
the poll slows down to a second.

Jobs of a full runner are left in their queue. When the head of a queue holds nothing else, the next look goes
on behind them (``after``), so that they never hide other runners' jobs; a slot that becomes free starts again
from the head.

While no ordinary slot is free, places for suspects may be: then suspects alone are claimed (suspect_book.py).
"""

import asyncio
import contextlib
import random
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, Protocol

import msgspec
from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.dispatch import Dispatcher
from rrq_orchestrator.errors import Fenced, RedisGone, RedisRefused
from rrq_orchestrator.fairness import shares
from rrq_orchestrator.queue_book import QueueBook
from rrq_orchestrator.review import Review
from rrq_orchestrator.routing import Routes
from rrq_orchestrator.server_clock import ServerClock
from rrq_orchestrator.service import PassSignal
from rrq_orchestrator.settle import Settler
from rrq_orchestrator.store.redis import RedisLink, RedisLinks
from rrq_orchestrator.suspect_book import SuspectBook
from rrq_orchestrator.waker import Waker
from rrq_protocol import Clock, Keyspace, ScriptCall
from rrq_protocol.transitions import Claim, ClaimRequest, claim, rescore

__all__ = ["ClaimLoop", "ClaimPlan"]

_SLOWEST_POLL_S = 1.0
_BATCH = 256
_GATHER_S = 0.001
_REVIEW_EVERY_S = 10.0


class Membership(Protocol):
    """What the claim loop needs of the heartbeat: the current id, and a way to say that it is void."""

    @property
    def orchestrator_id(self) -> str: ...
    @property
    def is_registered(self) -> bool: ...
    async def registered(self) -> None: ...
    def fenced(self, orchestrator_id: str) -> None: ...


class ClaimPlan(msgspec.Struct, frozen=True):
    """The settings of the loop: queues with weights, and how often to look without being told."""

    weights: Mapping[str, int]
    strict: bool = False
    poll_s: float = 0.1
    concurrency: int | None = None
    dlq_name: str = "default"
    failed_ttl_s: float = 604_800.0
    lock_extension_s: float | None = None
    job_events: bool = False
    max_payload_bytes: int = 16 * 1024 * 1024
    burst: bool = False


class ClaimLoop:
    """Claims until told to stop. All state is the loop's own; ``wake`` and ``capacity_freed`` only set an
    event. ``in_doubt`` says that the latest claim was not answered, so jobs may have been taken.
    """

    name = "claim"

    def __init__(
        self,
        plan: ClaimPlan,
        *,
        keyspace: Keyspace,
        link: RedisLink,
        links: RedisLinks,
        membership: Membership,
        waker: Waker,
        dispatcher: Dispatcher,
        settler: Settler,
        routes: Routes,
        clock: Clock,
        rng: random.Random,
        log: FilteringBoundLogger,
    ) -> None:
        self.passes = PassSignal()
        self.exhausted = asyncio.Event()
        self.in_doubt = False
        self._plan, self._keyspace, self._link, self._links = plan, keyspace, link, links
        self._membership, self._waker = membership, waker
        self._dispatcher, self._settler = dispatcher, settler
        self._routes, self._clock, self._rng, self._log = routes, clock, rng, log
        self._book = QueueBook(plan.weights, plan.poll_s)
        self._suspects = SuspectBook(plan.weights, plan.poll_s)
        self._server_clock = ServerClock()
        self._review = Review(
            keyspace=keyspace, link=link, dispatcher=dispatcher, settler=settler, clock=clock, log=log
        )
        self._review_s = clock.monotonic() + _REVIEW_EVERY_S
        self._changed = asyncio.Event()
        self._woken = False
        self._freed = False
        self._full = False
        self._stopping = asyncio.Event()
        self._turn = 0

    def wake(self, queue: str) -> None:
        """A producer left a marker for ``queue``."""
        self._book.woken(queue)
        self._woken = True
        self._changed.set()

    def capacity_freed(self) -> None:
        """A slot became free, or a runner came up."""
        self._freed = True
        if self._full or self._book.ready or self._book.hidden:
            self._changed.set()

    def stop(self) -> None:
        """Claim nothing more; :meth:`run` returns once the call under way is answered, so that no claim is
        lost.
        """
        self._stopping.set()
        self._changed.set()

    async def run(self) -> None:
        """Claim and dispatch until stopped."""
        pauses = self._links.pauses()
        while not self._stopping.is_set():
            if not self._membership.is_registered:
                await self._unless_stopped(self._membership.registered())
                continue
            owner = self._membership.orchestrator_id
            try:
                await self.give_back_unknown(owner)
                await self._pass(owner)
            except Fenced:
                self._membership.fenced(owner)
                self.passes.done()
            except (RedisGone, RedisRefused):
                await self._unless_stopped(pauses.pause())
            else:
                pauses = self._links.pauses()

    async def _ask(self, call: ScriptCall[Claim]) -> Claim:
        """Claim. Without an answer to what was sent, it is unknown whether jobs were taken."""
        doubted, self.in_doubt = self.in_doubt, True
        try:
            reply = await self._link.run(call)
        except RedisGone as error:
            self.in_doubt = doubted or error.sent
            raise
        self.in_doubt = False
        return reply

    async def _unless_stopped(self, waiting: Coroutine[Any, Any, None]) -> None:
        task, stop = asyncio.ensure_future(waiting), asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
            stop.cancel()

    async def _pass(self, owner: str) -> None:
        free, room = self._room()
        self._full = room <= 0
        if self._full:
            self._waker.listen(())
            rest_s = await self._pass_full(owner, free)
            self.passes.done()
            if self._plan.burst and self._dispatcher.hopeless:
                self.exhausted.set()
            # What was told during the call is not told again.
            if rest_s > 0 and self._room()[1] <= 0:
                await self._changed_within(rest_s)
            return
        if self._freed:
            self._freed = False
            self._book.freed()
        self._woken = False
        alone = self._dispatcher.alone()
        quiet = self._is_quiet() and not self._book.ready
        requests = self._everywhere(room) if quiet else self._requests(room)
        if not requests:
            self.passes.done()
            await self._rest(taken=0)
            return
        self._book.asking(request.queue for request in requests)
        asked_s = self._clock.monotonic()
        reply = await self._take(owner, requests, free, alone)
        taken = len(reply.jobs) + len(reply.malformed)
        self._book.rest(idle=not taken)
        now_s = self._clock.monotonic()
        for request, queue in zip(requests, reply.queues, strict=True):
            self._book.learn(request.queue, queue, reply.now_ms, now_s)
        before_ms = self._server_clock.told(reply.now_ms, asked_s, now_s)
        if before_ms is not None:
            await self._rescore(before_ms, reply.now_ms)
        if quiet and not taken and not self._book.ready and not self._held_up(free, alone):
            self.exhausted.set()
        self.passes.done()
        await self._rest(taken)

    async def _pass_full(self, owner: str, free: Mapping[str, int]) -> float:
        """Take suspects, for there is no room for others: long work does not hold them up (ADR 0017). Return
        how long to wait then.
        """
        book = self._suspects
        for queue in self._settler.suspected:
            book.seen(queue)
        self._settler.suspected.clear()
        places = self._places()
        room = sum(places.values())
        if not room:
            book.no_place()
            return _SLOWEST_POLL_S
        requests = [
            ClaimRequest(queue, self._routes.of_queue(queue), room, after)
            for queue, after in book.to_ask(self._clock.monotonic())
        ]
        if requests:
            reply = await self._take(owner, requests, dict.fromkeys(free, 0), places)
            now_s = self._clock.monotonic()
            for request, gave in zip(requests, reply.queues, strict=True):
                book.learn(request.queue, gave, now_s)
        return min(_SLOWEST_POLL_S, book.next_look_s() - self._clock.monotonic())

    async def _take(
        self, owner: str, requests: list[ClaimRequest], free: Mapping[str, int], alone: Mapping[str, int]
    ) -> Claim:
        """Claim, and hand over what was claimed."""
        plan = self._plan
        call = claim(
            self._keyspace,
            owner,
            requests,
            free,
            alone=alone,
            dlq_name=plan.dlq_name,
            failed_ttl_seconds=plan.failed_ttl_s,
            lock_extension_seconds=plan.lock_extension_s,
            job_events=plan.job_events,
            max_payload_bytes=plan.max_payload_bytes,
        )
        reply = await self._ask(call)
        if reply.fenced:
            raise Fenced(owner)
        self._dispatcher.refuse(reply.malformed, owner)
        self._dispatcher.dispatch(reply.jobs, owner)
        for job in reply.jobs:
            if job.suspect:
                self._suspects.seen(job.queue)
        return reply

    async def _rescore(self, before_ms: float, now_ms: float) -> None:
        """Make good what a step of the server's clock did to due times (F49)."""
        self._log.warning("redis.clock_stepped_back", step_s=round((before_ms - now_ms) / 1000, 1))
        for queue in self._plan.weights:
            moved, left = 0, 1
            while left:
                done = await self._link.run(rescore(self._keyspace, queue, before_ms))
                moved, left = moved + done.moved, done.left
            if moved:
                self._book.woken(queue)
                self._log.info("queue.rescored", queue=queue, jobs=moved)

    def _room(self) -> tuple[dict[str, int], int]:
        """Return the free slots per runner, and how many jobs to take in all."""
        free = self._dispatcher.free()
        room = min(sum(free.values()), _BATCH)
        if self._plan.concurrency is not None:
            room = min(room, self._plan.concurrency - len(self._dispatcher.attempts))
            left = max(room, 0)
            for name, slots in free.items():
                free[name] = min(slots, left)
                left -= free[name]
        return free, 0 if self._settler.is_full else room

    def _places(self) -> dict[str, int]:
        """Return the places for suspects, of runners that work: of one without a process none is claimed."""
        if self._settler.is_full:
            return {}
        runners, left = self._dispatcher.runners, _BATCH
        if self._plan.concurrency is not None:
            left = max(0, self._plan.concurrency - len(self._dispatcher.attempts))
        places: dict[str, int] = {}
        for name, count in self._dispatcher.alone().items():
            if runners[name].capacity:
                places[name] = min(count, left)
                left -= places[name]
        return places

    def _requests(self, room: int) -> list[ClaimRequest]:
        ready, others = self._book.to_ask(self._clock.monotonic())
        asked: list[tuple[str, int]] = []
        if ready:
            asked, self._turn = shares(ready, room, self._turn, strict=self._plan.strict)
        asked += [(queue, room) for queue in others]
        return self._as_requests(asked)

    def _everywhere(self, room: int) -> list[ClaimRequest]:
        """Ask all queues, before a burst ends: the shares of few slots leave some out."""
        return self._as_requests((queue, room) for queue in self._plan.weights)

    def _as_requests(self, asked: Iterable[tuple[str, int]]) -> list[ClaimRequest]:
        return [
            ClaimRequest(queue, self._routes.of_queue(queue), wanted, self._book.after(queue))
            for queue, wanted in asked
        ]

    def _is_quiet(self) -> bool:
        """Whether a burst may end if nothing is ready: nothing runs, and nothing that ended may come back."""
        return self._plan.burst and not self._dispatcher.attempts and not self._settler.waiting

    def _held_up(self, free: Mapping[str, int], alone: Mapping[str, int]) -> bool:
        """Whether ready jobs were left while nothing runs because a process for them is yet to come up."""
        runners = self._dispatcher.runners
        coming = (name for name, slots in free.items() if slots <= 0 and runners[name].state != "broken")
        return bool(self._book.hidden) and (any(coming) or 0 in alone.values())

    async def _rest(self, taken: int) -> None:
        """Wait for a reason to look again."""
        book = self._book
        if book.ready:
            # More is ready. Slots come free in quick succession; a moment's patience makes one call of many.
            if self._room()[1] < max(1, len(self._dispatcher.attempts) // 4):
                await asyncio.sleep(_GATHER_S)
            return
        # Markers of queues whose ready jobs cannot be taken are left to others; those queues are polled.
        self._waker.listen([queue for queue in self._plan.weights if queue not in book.hidden])
        # What was told during the call is not told again.
        if not self._woken and not (self._freed and book.hidden):
            await self._changed_within(max(0.0, book.next_look_s() - self._clock.monotonic()))

    async def _changed_within(self, seconds: float) -> None:
        if self._stopping.is_set():
            return
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def give_back_unknown(self, owner: str) -> None:
        """Release jobs that Redis counts as ours and we do not know: the reply of a claim was lost (F46).

        Asked for when a claim was not answered, and now and then besides: what a broken connection still held
        may reach Redis long after we gave up on it.
        """
        if not self.in_doubt and self._clock.monotonic() < self._review_s:
            return
        await self._review.run(owner)
        self.in_doubt = False
        self._review_s = self._clock.monotonic() + _REVIEW_EVERY_S
