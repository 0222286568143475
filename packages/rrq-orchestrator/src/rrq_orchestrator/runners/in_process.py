"""Handlers in the orchestrator's own process: no socket, no second process (API.md, *rrq-orchestrator*).

What executes is passed in, so this wheel knows nothing of the runner's. Both ends of a runner connection are
in memory, and each request passes through them as it would pass through a socket: the same limits hold, the
same values are refused.

What this cannot do: end a handler that ignores its cancellation, or survive one that ends the process. Such a
handler keeps its slot; one that blocks the event loop holds up the orchestrator, all but its lease.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Final, TypeAlias

import msgspec
from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.runners.base import (
    Isolation,
    LostCause,
    NoCapacity,
    Runner,
    RunnerHistory,
    RunnerListener,
    RunnerState,
)
from rrq_protocol import (
    ErrorType,
    ExecutionOutcome,
    ExecutionRequest,
    ExecutionRequested,
    OrchestratorConnection,
    OutcomeReceived,
    RunnerConnection,
    WireRequest,
)

__all__ = ["DEFAULT_SLOTS", "Execute", "InProcessRunner", "Inhabitant"]

Execute: TypeAlias = Callable[[ExecutionRequest], Awaitable[ExecutionOutcome]]
"""Runs a request to its end. Cancelled, it stops the handler, and raises once that has ended."""

DEFAULT_SLOTS: Final = 10
_SHOWN_CHARS: Final = 80
_STOPPED: Final = "the orchestrator stopped"


class InProcessRunner:
    """What an orchestrator takes in place of a pool of processes: ``runners={"python": InProcessRunner(…)}``.

    Args:
        execute: Runs a request, such as :meth:`rrq_runner.Engine.execute`.
        lifespan: In its place: makes the async context manager that yields it, entered when the orchestrator
            starts and left when it stops, such as ``lambda: rrq_runner.executing(settings)``.
        max_in_flight: Requests it takes at a time.
        handlers: Names it is known to have a handler for, if they are known; metrics tell them apart.

    Raises:
        ValueError: Neither or both were given, or ``max_in_flight`` is below 1.
        TypeError: One of them cannot be called, or ``max_in_flight`` is no number.
    """

    def __init__(
        self,
        execute: Execute | None = None,
        *,
        lifespan: Callable[[], AbstractAsyncContextManager[Execute]] | None = None,
        max_in_flight: int = DEFAULT_SLOTS,
        handlers: Iterable[str] = (),
    ) -> None:
        if (execute is None) == (lifespan is None):
            raise ValueError("expected one of execute and lifespan")
        _check_callable("execute", execute, "an async function of an ExecutionRequest")
        _check_callable("lifespan", lifespan, "a function that returns an async context manager")
        _check_number("max_in_flight", max_in_flight)
        if max_in_flight < 1:
            raise ValueError(f"max_in_flight: expected at least 1, got {max_in_flight}")
        self.max_in_flight = max_in_flight
        self.handlers = frozenset(handlers)
        if lifespan is not None:
            self.lifespan = lifespan
        elif execute is not None:
            self.lifespan = lambda: _lent(execute)

    def bind(self, name: str, listener: RunnerListener, log: FilteringBoundLogger, grace_s: float) -> Runner:
        """Return the runner of an orchestrator.

        Args:
            name: What it is called there.
            listener: Who hears of ends.
            log: Where events go.
            grace_s: How long handlers may take to end when it stops.
        """
        return Inhabitant(self, name, listener, log, grace_s)


def _check_callable(name: str, value: object, expected: str) -> None:
    if value is not None and not callable(value):
        raise TypeError(f"{name}: expected {expected}, got {_named(value)}")


def _check_number(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name}: expected a number, got {_named(value)}")


def _named(value: object) -> str:
    text = ascii(value)
    return f"{type(value).__name__} {text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + '…'}"


@asynccontextmanager
async def _lent(execute: Execute) -> AsyncIterator[Execute]:
    yield execute


class Inhabitant:
    """A :class:`.base.Runner` in this process. Everything happens on the event loop.

    A request is in ``_tasks`` until its handler has ended. One that was given up is not outstanding any more,
    but holds its slot until then.
    """

    def __init__(
        self,
        given: InProcessRunner,
        name: str,
        listener: RunnerListener,
        log: FilteringBoundLogger,
        grace_s: float,
    ) -> None:
        self._given, self._name, self._listener = given, name, listener
        self._log = log.bind(runner=name, in_process=True)
        self._grace_s = grace_s
        self._execute: Execute | None = None
        self._state: RunnerState = "starting"
        self._history = RunnerHistory()
        self._near, self._far = OrchestratorConnection(), RunnerConnection()
        self._tasks: dict[str, asyncio.Task[ExecutionOutcome]] = {}
        self._stopping, self._ended = asyncio.Event(), asyncio.Event()
        self._runs = False
        self.isolation: Isolation | None = None

    @property
    def name(self) -> str:
        """See :class:`.base.Runner`."""
        return self._name

    @property
    def free(self) -> int:
        """See :class:`.base.Runner`."""
        return max(0, self._given.max_in_flight - len(self._tasks)) if self._state == "ready" else 0

    @property
    def capacity(self) -> int:
        """See :class:`.base.Runner`."""
        stuck = len(self._tasks) - len(self._near.outstanding)
        return self._given.max_in_flight - stuck if self._state == "ready" else 0

    @property
    def state(self) -> RunnerState:
        """See :class:`.base.Runner`."""
        return self._state

    @property
    def history(self) -> RunnerHistory:
        """See :class:`.base.Runner`."""
        return self._history

    @property
    def processes(self) -> int:
        """See :class:`.base.Runner`."""
        return 0

    def has_handler(self, name: str) -> bool:
        """See :class:`.base.Runner`."""
        return name in self._given.handlers

    def pids(self) -> list[int]:
        """See :class:`.base.Runner`."""
        return []

    def submit(self, request: WireRequest) -> None:
        """See :class:`.base.Runner`."""
        if not self.free or self._execute is None:
            raise NoCapacity(self._name)
        loop = asyncio.get_running_loop()
        for event in self._far.receive(self._near.request(request)):
            if isinstance(event, ExecutionRequested):
                task = loop.create_task(_outcome(self._execute, event.request))
                self._tasks[request.request_id] = task
                task.add_done_callback(partial(self._done, event.request))
            elif reply := getattr(event, "reply", b""):
                loop.call_soon(self._answer, reply)

    def cancel(self, request_id: str, job_id: str, *, hard: bool = False) -> None:
        """See :class:`.base.Runner`."""
        task = self._tasks.get(request_id)
        if task is not None and request_id in self._near.outstanding:
            task.cancel()

    def quarantine(self, request_id: str) -> bool:
        """See :class:`.base.Runner`. Handler and process go on; its slot is lost for so long."""
        if self._near.abandon(request_id):
            self._log.warning(
                "runner.slot_lost",
                request_id=request_id,
                capacity=self.capacity,
                hint="the handler ignores its cancellation, and nothing else can end it in this process; "
                "run handlers as processes of their own (app = …) to have them ended",
            )
            self._listener.capacity_changed(self._name)
        return False

    def recycle(self) -> None:
        """See :class:`.base.Runner`: there is no process that could be replaced."""
        self._log.info("runner.not_recycled", reason="its handlers run in the orchestrator's own process")

    def abandon(self, detail: str) -> None:
        """See :class:`.base.Runner`."""
        lost = list(self._near.outstanding)
        for request_id in lost:
            if request_id in self._tasks:
                self._tasks[request_id].cancel()
        self._lose(lost, detail)

    async def run(self) -> None:
        """See :class:`.base.Runner`.

        Raises:
            Exception: What the lifespan raised as it was entered.
        """
        if self._stopping.is_set():
            return
        self._runs = True
        try:
            async with self._given.lifespan() as self._execute:
                self._enter("ready")
                try:
                    await self._stopping.wait()
                finally:
                    self._enter("stopping")
                    await self._end_all()
        except Exception as error:
            if self._state == "starting":
                self._enter("broken")
                self._log.error("runner.start_failed", detail=f"{type(error).__name__}: {error}")
            raise
        finally:
            self._execute = None
            self._ended.set()

    async def stop(self, *, patient: bool = True) -> None:
        """See :class:`.base.Runner`."""
        self._stopping.set()
        if self._runs:
            await self._ended.wait()

    async def _end_all(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        try:
            if self._tasks:
                # Cut short by a cancellation, which is how somebody says that it takes too long.
                await asyncio.wait(self._tasks.values(), timeout=self._grace_s)
        finally:
            self._lose(list(self._near.outstanding), _STOPPED)
            if count := len(self._tasks):
                self._log.warning("runner.handlers_left", requests=list(self._tasks)[:10], count=count)

    def _lose(self, request_ids: Sequence[str], detail: str) -> None:
        for request_id in request_ids:
            self._near.abandon(request_id)
        if request_ids:
            self._listener.lost(self._name, request_ids, LostCause.STOPPED, detail)

    def _enter(self, state: RunnerState) -> None:
        if state != self._state:
            before, self._state = self._state, state
            self._log.info("runner.state", before=before, after=state, capacity=self.capacity)
            self._listener.capacity_changed(self._name)

    def _done(self, request: ExecutionRequest, task: asyncio.Task[ExecutionOutcome]) -> None:
        request_id, job_id = request.request_id, request.job_id
        del self._tasks[request_id]
        cancelled = task.cancelled()
        outcome = ExecutionOutcome.cancelled(job_id, request_id) if cancelled else task.result()
        reply = self._far.respond(msgspec.structs.replace(outcome, request_id=request_id))
        if request_id not in self._near.outstanding:
            # It was given up; its slot is free again.
            self._listener.capacity_changed(self._name)
        elif cancelled and self._state == "stopping":
            self._lose([request_id], _STOPPED)
        else:
            self._answer(reply)

    def _answer(self, reply: bytes) -> None:
        for event in self._near.receive(reply):
            if isinstance(event, OutcomeReceived):
                self._listener.outcome(self._name, event.outcome)


async def _outcome(execute: Execute, request: ExecutionRequest) -> ExecutionOutcome:
    """Execute a request; whatever comes of it is an outcome, or a cancellation."""
    try:
        outcome: object = await execute(request)
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - nothing a handler raises may end the orchestrator (F76)
        kind = type(error).__name__
        return ExecutionOutcome.failure(request.job_id, request.request_id, _text(error), type=kind)
    if isinstance(outcome, ExecutionOutcome):
        return outcome
    problem = f"expected an ExecutionOutcome from execute, got {type(outcome).__name__}"
    return ExecutionOutcome.failure(request.job_id, request.request_id, problem, type=ErrorType.BAD_MESSAGE)


def _text(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception:  # noqa: BLE001 - a __str__ may raise anything
        return type(error).__name__
