"""The engine runs many requests, keeps their time limits, and comes to an end."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from rrq_protocol import ErrorType, ExecutionOutcome
from rrq_runner.context import Context
from rrq_runner.engine import Engine
from rrq_runner.registry import Registry
from support.runners import execution_request

pytestmark = pytest.mark.anyio


def registry() -> Registry:
    """Return handlers that end, wait, and refuse to end."""
    handlers = Registry()

    @handlers.handler
    async def echo(ctx: Context, value: int = 0) -> object:
        return [value, ctx.state.get("pool")]

    @handlers.handler
    async def sleep() -> None:
        await asyncio.sleep(60)

    @handlers.handler
    async def stubborn(ctx: Context) -> None:
        release: asyncio.Event = ctx.state["release"]
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    return handlers


async def test_execute_returns_the_outcome() -> None:
    """In-process use awaits one outcome; the state reaches the handler."""
    engine = Engine(registry(), state={"pool": "p"})
    outcome = await engine.execute(execution_request("echo", {"value": 5}))
    assert outcome.result == [5, "p"]
    assert await engine.stop(0, 0)


async def test_many_at_a_time_are_told_apart() -> None:
    """Each of a thousand concurrent requests gets its own answer."""
    engine = Engine(registry())
    outcomes = await asyncio.gather(
        *(engine.execute(execution_request("echo", {"value": number})) for number in range(1000))
    )
    assert [outcome.result[0] for outcome in outcomes] == list(range(1000))
    assert engine.running == 0


async def test_cancelling_execute_cancels_the_handler() -> None:
    """Whoever stops waiting stops the handler."""
    engine = Engine(registry())
    waiting = asyncio.ensure_future(engine.execute(execution_request("sleep")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert engine.running == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await engine.wait_idle()


async def test_deadlines_are_kept_in_any_order() -> None:
    """A later request with an earlier deadline ends first; the one timer serves both."""
    engine = Engine(registry())
    ended: list[str | None] = []
    now = datetime.now(UTC)
    for name, after_s in (("late", 0.12), ("early", 0.04), ("middle", 0.08)):
        request = execution_request("sleep", request_id=name, deadline=now + timedelta(seconds=after_s))
        engine.start(request, lambda outcome: ended.append(outcome.request_id))
    await asyncio.wait_for(engine.wait_idle(), 10)
    assert ended == ["early", "middle", "late"]


async def test_stopping_lets_handlers_end() -> None:
    """Within the grace nothing is cancelled."""
    engine = Engine(registry(), state={"release": (release := asyncio.Event())})
    outcomes: list[ExecutionOutcome] = []
    engine.start(execution_request("stubborn"), outcomes.append)
    engine.loop.call_soon(release.set)
    assert await engine.stop(10, 10)
    assert [outcome.status for outcome in outcomes] == ["success"]


async def test_after_the_grace_handlers_are_given_back() -> None:
    """What is cancelled for the sake of the shutdown is answered "busy": the attempt does not count."""
    engine = Engine(registry())
    outcomes: list[ExecutionOutcome] = []
    engine.start(execution_request("sleep"), outcomes.append)
    assert await engine.stop(0.01, 10)
    (error,) = [outcome.error for outcome in outcomes]
    assert error is not None
    assert (error.type, error.code) == (ErrorType.BUSY, ErrorType.BUSY)


async def test_a_stubborn_handler_is_abandoned_and_answered() -> None:
    """Stopping comes to an end without it, says so, and its request is not left unanswered (F75)."""
    engine = Engine(registry(), state={"release": (release := asyncio.Event())})
    outcomes: list[ExecutionOutcome] = []
    engine.start(execution_request("stubborn"), outcomes.append)
    assert not await engine.stop(0.01, 0.01)
    assert len(outcomes) == 1
    assert engine.running == 1
    release.set()
    await engine.wait_idle()
    assert len(outcomes) == 1


@pytest.mark.parametrize("before", [True, False], ids=["before stop", "during stop"])
async def test_hurrying_cuts_the_grace_short(before: bool) -> None:
    """A second signal does not wait for the grace, whenever it comes."""
    engine = Engine(registry())
    outcomes: list[ExecutionOutcome] = []
    engine.start(execution_request("sleep"), outcomes.append)
    if before:
        engine.hurry()
    else:
        engine.loop.call_later(0.01, engine.hurry)
    assert await asyncio.wait_for(engine.stop(3600, 10), 10)
    assert len(outcomes) == 1


async def test_a_held_thread_is_reported() -> None:
    """A plain function nobody can interrupt makes the stop unclean rather than endless."""
    handlers = Registry()
    gate, begun = threading.Event(), threading.Event()

    @handlers.handler
    def hold() -> None:
        begun.set()
        gate.wait(10)

    engine = Engine(handlers)
    outcomes: list[ExecutionOutcome] = []
    engine.start(execution_request("hold"), outcomes.append)
    await asyncio.to_thread(begun.wait, 10)
    assert not await engine.stop(0.01, 0.01)
    assert len(outcomes) == 1
    gate.set()
    await engine.wait_idle()


async def test_the_time_in_the_queue_is_not_the_handlers() -> None:
    """A plain handler's own timeout counts from when a thread takes it up."""
    gate, begun = threading.Event(), threading.Event()

    def handler(hold: bool) -> str:
        if hold:
            begun.set()
            gate.wait(10)
        return "done"

    handlers = Registry()
    handlers.register("h", handler, timeout=30)
    engine = Engine(handlers, threads=1)
    outcomes: list[ExecutionOutcome] = []
    engine.start(execution_request("h", {"hold": True}), outcomes.append)
    await asyncio.to_thread(begun.wait, 10)
    queued = engine.start(execution_request("h", {"hold": False}), outcomes.append)
    assert queued is not None
    later = queued.expires_at + 5
    queued.expire(later)
    assert (outcomes, queued.expires_at) == ([], later + 30)
    gate.set()
    await engine.wait_idle()
    assert [outcome.result for outcome in outcomes] == ["done", "done"]


async def test_a_queued_plain_handler_is_cancelled_at_once() -> None:
    """What no thread has begun is answered without waiting."""
    gate, begun = threading.Event(), threading.Event()

    def handler() -> None:
        begun.set()
        gate.wait(10)

    handlers = Registry()
    handlers.register("h", handler)
    engine = Engine(handlers, threads=1)
    outcomes: list[ExecutionOutcome] = []
    engine.start(execution_request("h"), outcomes.append)
    await asyncio.to_thread(begun.wait, 10)
    queued = engine.start(execution_request("h", request_id="queued"), outcomes.append)
    assert queued is not None
    queued.cancel("cancelled")
    assert [outcome.request_id for outcome in outcomes] == ["queued"]
    gate.set()
    await engine.wait_idle()
    assert len(outcomes) == 2
