"""One request comes to exactly one outcome, whatever its handler does."""

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from rrq_protocol import ErrorType, ExecutionOutcome, ExecutionRequest
from rrq_runner.context import Context, current_context
from rrq_runner.engine import Engine
from rrq_runner.errors import RetryJob
from rrq_runner.execution import Execution
from rrq_runner.registry import Registry
from support.runners import execution_request

pytestmark = pytest.mark.anyio


class Bench:
    """An engine with one handler, and what it delivered."""

    def __init__(self, handler: Callable[..., Any], **options: Any) -> None:
        registry = Registry()
        registry.register("h", handler, **options)
        self.engine = Engine(registry, threads=2)
        self.outcomes: list[ExecutionOutcome] = []
        self._delivered = asyncio.Event()

    def deliver(self, outcome: ExecutionOutcome) -> None:
        """Take an outcome."""
        self.outcomes.append(outcome)
        self._delivered.set()

    def start(self, params: dict[str, Any] | None = None, **options: Any) -> Execution | None:
        """Start the handler."""
        return self.engine.start(execution_request("h", params, **options), self.deliver)

    async def outcome(self) -> ExecutionOutcome:
        """Return the one outcome, once the handler has ended."""
        async with asyncio.timeout(10):
            await self._delivered.wait()
            await self.engine.wait_idle()
        (outcome,) = self.outcomes
        return outcome

    async def run(self, params: dict[str, Any] | None = None, **options: Any) -> ExecutionOutcome:
        """Execute the handler to its end."""
        self.start(params, **options)
        return await self.outcome()


async def test_an_async_handler_returns_its_result() -> None:
    """A handler that waits and one that does not both succeed with what they return."""

    async def handler(wait: bool) -> str:
        if wait:
            await asyncio.sleep(0)
        return "done"

    for wait in (True, False):
        outcome = await Bench(handler).run({"wait": wait})
        assert (outcome.status, outcome.result) == ("success", "done")


async def test_a_plain_handler_runs_in_a_thread() -> None:
    """The event loop's thread is never the one that executes a plain def; context variables come along."""
    variable: ContextVar[str] = ContextVar("variable", default="unset")
    variable.set("set")

    def handler(ctx: Context) -> object:
        assert current_context() is ctx
        return [threading.current_thread().name, variable.get()]

    outcome = await Bench(handler).run()
    assert outcome.result == ["rrq-handler-1", "set"]


async def test_a_raw_handler_gets_the_request_and_may_answer_itself() -> None:
    """An outcome is passed on; its request id is put right if the handler made one up."""

    async def handler(request: ExecutionRequest) -> ExecutionOutcome:
        return ExecutionOutcome.retry_after(request.job_id, "made up", str(request.params["why"]), 7)

    outcome = await Bench(handler).run({"why": "busy"}, request_id="r-9")
    assert (outcome.status, outcome.request_id, outcome.retry_after_seconds) == ("retry", "r-9", 7)


async def test_an_unknown_handler_is_a_fatal_outcome() -> None:
    """The error says so, and is of the type that no retry cures."""
    bench = Bench(lambda: None)
    assert bench.engine.start(execution_request("g"), bench.deliver) is None
    (outcome,) = bench.outcomes
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.is_fatal) == (ErrorType.HANDLER_NOT_FOUND, True)


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_params_that_do_not_fit_are_fatal(kind: str) -> None:
    """The handler is not called; the error names the field."""

    async def async_handler(width: int) -> None: ...

    def plain_handler(width: int) -> None: ...

    outcome = await Bench(async_handler if kind == "async" else plain_handler).run({"width": "x"})
    assert outcome.error is not None
    assert outcome.error.message == "width: expected int, got str"
    assert (outcome.error.type, outcome.error.details) == (ErrorType.INVALID_PARAMS, {"field": "width"})
    assert outcome.error.is_fatal


@pytest.mark.parametrize("kind", ["async", "plain"])
@pytest.mark.parametrize(
    "error", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit, BaseException, TimeoutError]
)
async def test_whatever_a_handler_raises_is_a_failure(error: type[BaseException], kind: str) -> None:
    """Not even SystemExit ends the runner, and a TimeoutError of user code is no timeout of the job (F76)."""

    async def async_handler() -> None:
        raise error("no")

    async def waiting_handler() -> None:
        await asyncio.sleep(0)
        raise error

    def plain_handler() -> None:
        raise error("no")

    for handler in (async_handler, waiting_handler) if kind == "async" else (plain_handler,):
        outcome = await Bench(handler).run()
        assert outcome.status == "error"
        assert outcome.error is not None
        assert outcome.error.type == error.__name__
        assert outcome.error.message in ("no", error.__name__)
        assert f"in {handler.__name__}" in outcome.error.details["traceback"]
        assert "_run_async" not in outcome.error.details["traceback"]


@pytest.mark.parametrize(("delay", "expected"), [(None, None), (5, 5.0), (timedelta(minutes=1), 60.0)])
async def test_retry_job_asks_for_another_attempt(
    delay: float | timedelta | None, expected: float | None
) -> None:
    """The delay travels in seconds; without one the orchestrator's policy decides."""

    async def handler() -> None:
        raise RetryJob("not yet", defer_seconds=delay)

    outcome = await Bench(handler).run()
    assert (outcome.status, outcome.retry_after_seconds) == ("retry", expected)
    assert outcome.error is not None
    assert outcome.error.message == "not yet"


async def test_the_deadline_stops_a_handler() -> None:
    """At the deadline the handler is cancelled, may clean up, and the outcome is a timeout."""
    cleaned = asyncio.Event()

    async def handler() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.set()

    outcome = await Bench(handler).run(deadline=datetime.now(UTC) + timedelta(seconds=0.05))
    assert (outcome.status, cleaned.is_set()) == ("timeout", True)
    assert outcome.error is not None
    assert outcome.error.message == "the deadline passed"


async def test_a_deadline_that_has_passed_starts_nothing() -> None:
    """A request that comes too late is answered without calling the handler."""
    bench = Bench(lambda: pytest.fail("must not be called"))
    bench.start(deadline=datetime.now(UTC) - timedelta(seconds=1))
    (outcome,) = bench.outcomes
    assert outcome.status == "timeout"


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_a_handlers_own_timeout_stops_it(kind: str) -> None:
    """The limit given at registration counts without any deadline.

    A plain def is told by ``ctx.cancelled``.
    """

    async def async_handler() -> None:
        await asyncio.sleep(60)

    def plain_handler(ctx: Context) -> None:
        gate = threading.Event()
        while not ctx.cancelled:
            gate.wait(0.005)

    outcome = await Bench(async_handler if kind == "async" else plain_handler, timeout=0.05).run()
    assert outcome.status == "timeout"
    assert outcome.error is not None
    assert outcome.error.message == "the handler's timeout of 0.05 s passed"


async def test_a_timed_out_thread_is_answered_when_it_ends() -> None:
    """The outcome waits for the function: until then its slot is taken, and the orchestrator must know."""
    gate, begun = threading.Event(), threading.Event()

    def handler() -> str:
        begun.set()
        gate.wait(10)
        return "late"

    bench = Bench(handler)
    execution = bench.start()
    assert execution is not None
    await asyncio.to_thread(begun.wait, 10)
    execution.cancel("timeout")
    assert (bench.outcomes, bench.engine.running) == ([], 1)
    gate.set()
    assert (await bench.outcome()).status == "timeout"


async def test_cancelling_an_async_handler() -> None:
    """It gets CancelledError and sees ``ctx.cancelled``; the outcome is of type cancelled."""
    seen: list[bool] = []

    async def handler(ctx: Context) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append(ctx.cancelled)
            raise

    bench = Bench(handler)
    execution = bench.start()
    assert execution is not None
    await asyncio.sleep(0)
    execution.cancel("cancelled")
    execution.cancel("timeout")  # too late to change the reason or to interrupt the cleaning up
    outcome = await bench.outcome()
    assert outcome.error is not None
    assert (outcome.error.type, seen) == (ErrorType.CANCELLED, [True])


async def test_cancelling_before_the_first_step() -> None:
    """A handler that has not begun when it is cancelled is never called, where tasks start later."""
    calls: list[str] = []

    async def handler() -> None:
        calls.append("called")
        await asyncio.sleep(60)

    bench = Bench(handler)
    execution = bench.start()
    assert execution is not None
    begun = bool(calls)  # tasks start at once from Python 3.12 on
    execution.cancel("cancelled")
    outcome = await bench.outcome()
    assert outcome.error is not None
    assert outcome.error.type == ErrorType.CANCELLED
    assert bool(calls) is begun


async def test_a_handler_that_finishes_in_spite_of_a_cancel_has_finished() -> None:
    """Its result counts: the work is done."""

    async def handler() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "finished"
        return "never"

    bench = Bench(handler)
    execution = bench.start()
    assert execution is not None
    await asyncio.sleep(0)
    execution.cancel("cancelled")
    assert (await bench.outcome()).result == "finished"


async def test_a_hard_kill_is_answered_at_once() -> None:
    """The outcome does not wait for the handler, and none follows when it ends."""
    release = asyncio.Event()

    async def handler() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    bench = Bench(handler)
    execution = bench.start()
    assert execution is not None
    await asyncio.sleep(0)
    execution.cancel("cancelled", at_once=True)
    assert len(bench.outcomes) == 1
    assert bench.engine.running == 1
    release.set()
    await bench.engine.wait_idle()
    assert len(bench.outcomes) == 1


async def test_a_handler_that_cancels_itself_has_failed() -> None:
    """CancelledError that nobody asked for is a failure with a text, not a cancelled job."""

    async def handler() -> None:
        raise asyncio.CancelledError

    outcome = await Bench(handler).run()
    assert outcome.error is not None
    assert outcome.error.type == "asyncio.CancelledError"
    assert "nobody cancelled the job" in outcome.error.message


async def test_a_plain_handler_that_returns_a_coroutine_has_failed() -> None:
    """The mistake is named, and nothing warns of a coroutine that was never awaited."""

    async def inner() -> None: ...

    outcome = await Bench(lambda: [inner()][0]).run()
    assert outcome.error is not None
    assert "returned an awaitable" in outcome.error.message


async def test_timeouts_and_task_groups_work_from_the_first_step_on() -> None:
    """The task a handler starts in is the one it goes on in: asyncio's and anyio's scopes depend on it."""

    async def handler() -> list[object]:
        first = asyncio.current_task()
        caught: list[object] = []
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        except TimeoutError:
            caught.append("asyncio")
        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep(60)
        caught.append(scope.cancelled_caught)
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep, 0)
        caught.append(first is not None and asyncio.current_task() is first)
        return caught

    assert (await Bench(handler).run()).result == ["asyncio", True, True]


async def test_each_execution_has_its_own_task_and_variables() -> None:
    """What one handler sets, the next does not see, whether they wait or not."""
    variable: ContextVar[str] = ContextVar("variable", default="unset")
    tasks: set[object] = set()

    async def handler(wait: bool) -> str:
        before = variable.get()
        variable.set("set")
        tasks.add(asyncio.current_task())
        if wait:
            await asyncio.sleep(0)
        return before

    for wait in (False, False, True, True):
        bench = Bench(handler)
        assert (await bench.run({"wait": wait})).result == "unset"
    assert len(tasks) == 4
    assert variable.get() == "unset"
