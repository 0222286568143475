"""For tests of the orchestrator's core: a runner without a process, jobs, and the parts of an orchestrator
put together.

Redis is real. The stand-in runner answers when the test says so, which lets a test decide what happens when.
"""

import asyncio
import random
from collections.abc import Callable
from typing import TypeVar, cast

import msgspec
import redis.asyncio
import structlog

from rrq_orchestrator.decision import Policy
from rrq_orchestrator.dispatch import Dispatcher, DispatchLimits
from rrq_orchestrator.routing import Routes
from rrq_orchestrator.runners.base import (
    Isolation,
    LostCause,
    NoCapacity,
    RunnerHistory,
    RunnerListener,
    RunnerState,
)
from rrq_orchestrator.settle import Settler
from rrq_orchestrator.store import RedisLinks
from rrq_protocol import (
    Clock,
    ExecutionError,
    Job,
    JobRecord,
    Keyspace,
    OutcomeStatus,
    RetryPolicy,
    ScriptCall,
    SystemClock,
    WireOutcome,
    WireRequest,
    parse_record,
)
from rrq_protocol.transitions import ClaimedJob, EnqueueDefaults, Lease, enqueue, prepare, register

T = TypeVar("T")
LOG = structlog.wrap_logger(
    structlog.testing.CapturingLogger(), wrapper_class=structlog.make_filtering_bound_logger(50)
)


WITHIN_S = 10.0
"""Nothing here takes so long; a test that waits longer has failed."""


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until ``condition`` holds: for states that change without an event of their own."""
    while not condition():  # noqa: ASYNC110 - see above
        await asyncio.sleep(0)


class StandInRunner:
    """A runner whose handlers are the test: ``answer`` ends a request, ``auto`` ends each one at once."""

    def __init__(self, listener: RunnerListener, name: str = "python", capacity: int = 10) -> None:
        self.name, self.capacity = name, capacity
        self.state: RunnerState = "ready"
        self.isolation: Isolation | None = None
        self.open: dict[str, WireRequest] = {}
        self.cancelled: list[str] = []
        self.quarantined: list[str] = []
        self.blocked = False
        self.recycled = 0
        self.auto: Callable[[WireRequest], WireOutcome] | None = None
        self.stops = 0
        self.history, self.processes = RunnerHistory(), 1
        self.abandoned: list[str] = []
        self._listener = listener
        self._arrived = asyncio.Event()

    @property
    def free(self) -> int:
        return self.capacity - len(self.open) if self.state == "ready" else 0

    def submit(self, request: WireRequest) -> None:
        if self.free <= 0:
            raise NoCapacity(self.name)
        self.open[request.request_id] = request
        self._arrived.set()
        if self.auto is not None:
            asyncio.get_running_loop().call_soon(self.answer, self.auto(request))

    def cancel(self, request_id: str, job_id: str, *, hard: bool = False) -> None:
        self.cancelled.append(request_id)

    def quarantine(self, request_id: str) -> bool:
        self.open.pop(request_id, None)
        self.quarantined.append(request_id)
        lost = list(self.open) if self.blocked else []
        for each in lost:
            del self.open[each]
        if lost:
            self._listener.lost(self.name, lost, LostCause.BLOCKED, "it did nothing any more")
        return bool(lost)

    def abandon(self, detail: str) -> None:
        lost = list(self.open)
        self.open.clear()
        self.abandoned += lost
        if lost:
            self._listener.lost(self.name, lost, LostCause.STOPPED, detail)

    def recycle(self) -> None:
        self.recycled += 1

    def has_handler(self, name: str) -> bool:
        return name == "work"

    def pids(self) -> list[int]:
        return []

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def stop(self, *, patient: bool = True) -> None:
        self.stops += 1
        lost = list(self.open)
        self.open.clear()
        if lost:
            self._listener.lost(self.name, lost, LostCause.STOPPED, "stopped")

    # What a test does with it.

    async def requests(self, count: int) -> list[WireRequest]:
        """Wait until so many requests are open; return all of them."""
        async with asyncio.timeout(WITHIN_S):
            while len(self.open) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return list(self.open.values())

    def answer(self, outcome: WireOutcome) -> None:
        self.open.pop(outcome.request_id or "")
        self._listener.outcome(self.name, outcome)

    def crash(self, detail: str = "exited with 1") -> None:
        lost = list(self.open)
        self.open.clear()
        self._listener.lost(self.name, lost, LostCause.CRASHED, detail)


class StandInPlaces:
    """Places for suspects of the runner "python": ``capacity`` that are up, and some that are coming up."""

    def __init__(self, listener: RunnerListener, capacity: int, coming: int = 0) -> None:
        self.capacity, self.coming = capacity, coming
        self.held: list[WireRequest] = []
        self._listener = listener

    @property
    def free(self) -> int:
        return self.capacity - len(self.held)

    @property
    def room(self) -> int:
        return self.free + self.coming

    def open(self, wanted: int) -> bool:
        return True

    def submit(self, request: WireRequest) -> None:
        self.held.append(request)

    def answer(self) -> None:
        self._listener.outcome("python", succeeded(self.held.pop()))

    def crash(self, detail: str) -> None:
        self._listener.lost("python", [self.held.pop().request_id], LostCause.CRASHED, detail)


def succeeded(request: WireRequest, result: bytes = b"null") -> WireOutcome:
    """Return the outcome of a handler that returned ``result``."""
    return WireOutcome(
        job_id=request.job_id,
        request_id=request.request_id,
        status=OutcomeStatus.SUCCESS,
        result=msgspec.Raw(result),
    )


def failed(request: WireRequest, message: str = "boom", kind: str | None = "ValueError") -> WireOutcome:
    """Return the outcome of a handler that raised."""
    error = ExecutionError(message=message, type=kind)
    return WireOutcome(
        job_id=request.job_id, request_id=request.request_id, status=OutcomeStatus.ERROR, error=error
    )


def claimed(job_id: str = "j1", **changes: object) -> ClaimedJob:
    """Return a claimed job as the claim script hands it out."""
    job = ClaimedJob(
        job_id, "default", 0.0, 1, "work", msgspec.Raw(b"{}"), "2026-01-01T00:00:00Z", max_retries=3
    )
    return msgspec.structs.replace(job, **changes)


class Bench:
    """The parts around a dispatcher, on a real Redis; ``run`` carries out any transition."""

    def __init__(
        self, url: str, keyspace: Keyspace, client: redis.asyncio.Redis, clock: Clock | None = None
    ) -> None:
        self.keyspace, self.client, self.url = keyspace, client, url
        self.rng = random.Random(1)
        self.clock = clock or SystemClock()
        self.links = RedisLinks(url, "test", LOG, self.rng)
        self.link = self.links.make("test")
        self.settler = Settler(keyspace, self.links.make("settle"), LOG)
        self.dispatcher = Dispatcher(
            routes=Routes("python", {"media": "rust"}),
            policy=Policy(max_retries=3, backoff=RetryPolicy(0.0, 60.0)),
            limits=DispatchLimits(cancel_grace_s=1.0),
            settler=self.settler,
            clock=self.clock,
            rng=self.rng,
            log=LOG,
        )
        self.runner = StandInRunner(self.dispatcher)
        self.dispatcher.connect({"python": self.runner}, lambda: None)

    async def run(self, call: ScriptCall[T]) -> T:
        """Carry out a transition."""
        return await self.link.run(call)

    async def register(self, orchestrator_id: str = "o1", lease_ms: int = 10_000) -> None:
        """Make an orchestrator known, without a heartbeat."""
        await self.run(register(self.keyspace, Lease(orchestrator_id, lease_ms, b"{}", 60_000)))

    async def enqueue(self, *jobs: Job) -> list[str]:
        """Enqueue jobs; return their ids."""
        prepared = [prepare(job, EnqueueDefaults()) for job in jobs]
        return [reply.job_id for reply in await self.run(enqueue(self.keyspace, prepared))]

    async def record(self, job_id: str) -> JobRecord:
        """Return a job as it is stored."""
        fields = await self.client.hgetall(self.keyspace.job(job_id))
        return parse_record(cast("dict[bytes, bytes]", fields))

    async def settled(self, settling: "asyncio.Task[None] | None" = None) -> None:
        """Have everything settled that waits."""
        task = settling or asyncio.create_task(self.settler.run())
        await self.settler.flushed()
        if settling is None:
            task.cancel()

    async def aclose(self) -> None:
        """Close the connections."""
        await self.links.aclose()
