"""Waiting for passes instead of sleeping; and what happens to a service that fails."""

import asyncio

import pytest
import structlog

from rrq_orchestrator.service import PassSignal, Perseverance

pytestmark = pytest.mark.anyio


async def test_a_waiter_returns_after_as_many_further_passes_as_it_asked_for() -> None:
    """Passes before the wait do not count."""
    signal = PassSignal()
    signal.done()
    waiting = asyncio.create_task(signal.next(2))
    await asyncio.sleep(0)
    signal.done()
    await asyncio.sleep(0)
    assert not waiting.done()
    signal.done()
    await waiting
    assert signal.count == 3


async def test_a_cancelled_waiter_is_dropped() -> None:
    """A test that gave up does not disturb the service."""
    signal = PassSignal()
    waiting = asyncio.create_task(signal.next())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    signal.done()
    assert signal.count == 1


class Failing:
    """A service that fails so many times, then works until it is cancelled."""

    name = "failing"

    def __init__(self, times: int) -> None:
        self.passes, self.left = PassSignal(), times

    async def run(self) -> None:
        if self.left:
            self.left -= 1
            raise ValueError("strange")
        self.passes.done()
        await asyncio.Event().wait()


class NoPause:
    """Pauses of no length."""

    async def pause(self) -> None:
        await asyncio.sleep(0)


async def test_a_service_that_fails_is_run_again_and_told_in_few_words() -> None:
    """A thousand failures in a row are one event, with the error and where it came from."""
    service = Failing(1000)
    perseverance = Perseverance(NoPause, structlog.get_logger(), burst=False)
    with structlog.testing.capture_logs() as logged:
        running = asyncio.create_task(perseverance.of(service).run())
        await asyncio.sleep(0)
        assert perseverance.failing() == ("failing",)
        await service.passes.next()
    assert perseverance.failing() == ()
    (event,) = logged
    assert (event["event"], event["service"], event["error"]) == (
        "service.failed",
        "failing",
        "ValueError: strange",
    )
    assert isinstance(event["exc_info"], ValueError)
    running.cancel()


async def test_in_a_burst_a_failure_is_the_end() -> None:
    """Whoever waits for the end of a burst is not kept waiting."""
    with pytest.raises(ValueError, match="strange"):
        await Perseverance(NoPause, structlog.get_logger(), burst=True).of(Failing(1)).run()
