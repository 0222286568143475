"""Handlers in the orchestrator's own process: the same rules as for processes, as far as they can be kept."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rrq_orchestrator.runners.base import LostCause, NoCapacity, Runner
from rrq_orchestrator.runners.in_process import Execute, InProcessRunner
from rrq_protocol import ExecutionOutcome, ExecutionRequest, FrameTooLarge
from support.runner_pools import Recorder, capturing_log, make_request

pytestmark = pytest.mark.anyio


class Hosted:
    """A runner in this process whose handlers are methods."""

    def __init__(self, **options: Any) -> None:
        self.recorder = Recorder()
        self.log, self.logs = capturing_log()
        self.gate = asyncio.Event()
        self.swallowed = 0
        given = InProcessRunner(**{"execute": self.execute, "max_in_flight": 3, **options})
        self.runner: Runner = given.bind("python", self.recorder, self.log, 0.2)
        self.running = asyncio.ensure_future(self.runner.run())

    async def ready(self) -> None:
        await self.recorder.until(lambda: self.runner.state == "ready")

    async def execute(self, request: ExecutionRequest) -> ExecutionOutcome:
        action: Callable[[ExecutionRequest], Awaitable[Any]] = getattr(self, request.function_name)
        result = await action(request)
        if isinstance(result, ExecutionOutcome):
            return result
        return ExecutionOutcome.success(request.job_id, request.request_id, result)

    async def echo(self, request: ExecutionRequest) -> Any:
        return [request.params, request.context.attempt]

    async def hold(self, request: ExecutionRequest) -> None:
        await self.gate.wait()

    async def stubborn(self, request: ExecutionRequest) -> None:
        while not self.gate.is_set():
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.swallowed += 1

    async def leave(self, request: ExecutionRequest) -> None:
        raise SystemExit(3)

    async def not_a_number(self, request: ExecutionRequest) -> float:
        return float("nan")

    async def other(self, request: ExecutionRequest) -> ExecutionOutcome:
        return ExecutionOutcome.success(request.job_id, "another", 1)

    def submit(self, request_id: str, function: str = "echo", **params: Any) -> None:
        self.runner.submit(make_request(request_id, function, **params))

    async def over(self, request_id: str) -> Any:
        await self.recorder.until(lambda: request_id in self.recorder.outcomes)
        return self.recorder.outcomes[request_id]


@asynccontextmanager
async def hosted(**options: Any) -> AsyncIterator[Hosted]:
    """Run one, and see that it ends with nothing left."""
    it = Hosted(**options)
    try:
        yield it
    finally:
        it.gate.set()
        await it.runner.stop()
        await it.running
    assert (it.runner.state, it.runner.free, it.runner.capacity) == ("stopping", 0, 0)
    assert it.runner.pids() == []


async def test_requests_are_executed_and_answered_once() -> None:
    """With what a runner process would get; the slots are taken and freed."""
    async with hosted(handlers=["echo"]) as it:
        assert it.runner.has_handler("echo")
        assert not it.runner.has_handler("other")
        with pytest.raises(NoCapacity):
            it.submit("early")
        await it.ready()
        assert (it.runner.free, it.runner.capacity, it.runner.isolation) == (3, 3, None)
        for number in range(3):
            it.submit(f"r{number}", x=number)
        with pytest.raises(NoCapacity):
            it.submit("r3")
        await it.recorder.until(lambda: len(it.recorder.outcomes) == 3)
        assert [it.recorder.result(f"r{number}") for number in range(3)] == [[{"x": n}, 1] for n in range(3)]
        assert it.runner.free == 3


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        ("leave", "SystemExit", "3"),
        ("nobody", "AttributeError", "no attribute 'nobody'"),
        ("not_a_number", "result_not_serialisable", "is nan"),
    ],
)
async def test_nothing_a_handler_does_ends_the_orchestrator(function: str, kind: str, message: str) -> None:
    """What it raises, and what has no JSON form, is an outcome (F66, F76, F77)."""
    async with hosted() as it:
        await it.ready()
        it.submit("r", function)
        error = (await it.over("r")).error
        assert error.type == kind
        assert message in error.message
        assert it.runner.free == 3


async def test_execute_has_to_return_an_outcome() -> None:
    """Anything else is told; an outcome that names another request is taken for its own."""

    async def careless(request: ExecutionRequest) -> Any:
        return 7

    async with hosted(execute=careless) as it:
        await it.ready()
        it.submit("r")
        assert (await it.over("r")).error.message == "expected an ExecutionOutcome from execute, got int"
    async with hosted() as it:
        await it.ready()
        it.submit("r", "other")
        await it.over("r")
        assert it.recorder.result("r") == 1


async def test_an_oversized_request_is_refused_alone() -> None:
    """As over a socket (F64)."""
    async with hosted() as it:
        await it.ready()
        with pytest.raises(FrameTooLarge):
            it.submit("big", text="x" * (16 * 1024 * 1024))
        assert it.runner.free == 3
        gc.collect()


@pytest.mark.parametrize("turns", [0, 3])
async def test_a_cancel_ends_the_handler(turns: int) -> None:
    """The outcome says so, also where the handler had not begun; other requests go on."""
    async with hosted() as it:
        await it.ready()
        it.submit("r", "hold")
        it.submit("s", "hold")
        for _ in range(turns):
            await asyncio.sleep(0)
        it.runner.cancel("unknown", "job-unknown")
        it.runner.cancel("r", "job-r")
        assert (await it.over("r")).error.type == "cancelled"
        assert "s" not in it.recorder.outcomes
        it.gate.set()
        await it.over("s")


async def test_a_handler_that_ignores_its_cancellation_keeps_its_slot() -> None:
    """Nobody can end it; its late answer is nobody's, and the slot comes back."""
    async with hosted() as it:
        await it.ready()
        it.submit("r", "stubborn")
        await asyncio.sleep(0)
        it.runner.cancel("r", "job-r")
        assert not it.runner.quarantine("r")
        assert not it.runner.quarantine("r")
        assert (it.runner.free, it.runner.capacity) == (2, 2)
        assert [entry["capacity"] for entry in it.logs.entries if entry["event"] == "runner.slot_lost"] == [2]
        it.gate.set()
        await it.recorder.until(lambda: it.runner.free == 3)
        assert it.recorder.outcomes == {}
        assert it.recorder.losses == {}
        assert it.swallowed == 1


async def test_stopping_gives_back_what_runs() -> None:
    """Handlers are cancelled, and their requests are lost as STOPPED: never the job's fault."""
    async with hosted() as it:
        await it.ready()
        it.submit("held", "hold")
        it.submit("stubborn", "stubborn")
        await asyncio.sleep(0)
        await it.runner.stop()
        assert {key: cause for key, (cause, _) in it.recorder.losses.items()} == {
            "held": LostCause.STOPPED,
            "stubborn": LostCause.STOPPED,
        }
        assert it.recorder.outcomes == {}
        assert [entry["count"] for entry in it.logs.entries if entry["event"] == "runner.handlers_left"] == [
            1
        ]


async def test_abandoning_loses_all_at_once() -> None:
    """What the overlap guard asks for: nothing is outstanding afterwards."""
    async with hosted() as it:
        await it.ready()
        it.submit("r", "hold")
        it.runner.abandon("the lease ran out")
        assert it.recorder.losses == {"r": (LostCause.STOPPED, "the lease ran out")}
        await it.recorder.until(lambda: it.runner.free == 3)
        it.runner.recycle()  # changes nothing


async def test_a_lifespan_is_entered_and_left() -> None:
    """Around everything that runs."""
    told: list[str] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[Execute]:
        told.append("up")
        yield execute
        told.append("down")

    async def execute(request: ExecutionRequest) -> ExecutionOutcome:
        told.append(request.function_name)
        return ExecutionOutcome.success(request.job_id, request.request_id)

    async with hosted(execute=None, lifespan=lifespan) as it:
        await it.ready()
        it.submit("r")
        await it.over("r")
    assert told == ["up", "echo", "down"]


async def test_a_start_that_fails_is_told() -> None:
    """The runner is broken, and the error goes on to whoever runs it."""

    def connect() -> None:
        raise OSError("no database")

    async def _never(request: ExecutionRequest) -> ExecutionOutcome:
        raise AssertionError(request)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[Execute]:
        connect()
        yield _never

    it = Hosted(execute=None, lifespan=lifespan)
    with pytest.raises(OSError, match="no database"):
        await it.running
    assert it.runner.state == "broken"
    assert [entry["detail"] for entry in it.logs.entries if entry["event"] == "runner.start_failed"] == [
        "OSError: no database"
    ]
    await it.runner.stop()


async def test_a_stop_before_the_start_is_one() -> None:
    """Nothing is entered any more."""
    it = Hosted()
    await it.runner.stop()
    await it.running
    assert it.runner.state == "starting"


@pytest.mark.parametrize(
    "options", [{}, {"execute": print, "lifespan": print}, {"execute": print, "max_in_flight": 0}]
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    """When it is made, not when its first job comes."""
    with pytest.raises(ValueError, match="expected"):
        InProcessRunner(**options)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"execute": 3}, "execute: expected an async function of an ExecutionRequest, got int 3"),
        ({"lifespan": "x" * 500}, "lifespan: expected a function .* got str 'xxx"),
        ({"execute": print, "max_in_flight": "3"}, "max_in_flight: expected a number, got str '3'"),
        ({"execute": print, "max_in_flight": True}, "max_in_flight: expected a number, got bool True"),
    ],
)
def test_what_is_of_another_type_is_refused(options: dict[str, Any], problem: str) -> None:
    """With what was expected and what came, bounded."""
    with pytest.raises(TypeError, match=problem) as caught:
        InProcessRunner(**options)
    assert len(str(caught.value)) < 200
