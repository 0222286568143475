"""Plain functions run in a bounded number of threads."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from rrq_runner.threads import HandlerThreads, default_limit

pytestmark = pytest.mark.anyio


class Calls:
    """Submits functions and waits for their results."""

    def __init__(self, limit: int) -> None:
        self.threads = HandlerThreads(limit, asyncio.get_running_loop())
        self.results: list[object] = []
        self._changed = asyncio.Event()

    def done(self, result: object) -> None:
        """Take a result."""
        self.results.append(result)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for results until a condition holds."""
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


async def test_no_more_run_at_a_time_than_the_limit() -> None:
    """The third of three calls waits until one of two threads is free."""
    calls = Calls(limit=2)
    gate, both = threading.Event(), threading.Barrier(3)

    def held() -> str:
        both.wait(10)
        gate.wait(10)
        return threading.current_thread().name

    works = [calls.threads.submit(held, calls.done) for _ in range(2)]
    third = calls.threads.submit(lambda: "third", calls.done)
    await asyncio.to_thread(both.wait, 10)
    assert [work.state for work in works] == ["running", "running"]
    assert (third.state, third.started_at) == ("queued", None)
    gate.set()
    await calls.until(lambda: len(calls.results) == 3)
    assert set(calls.results) == {"rrq-handler-1", "rrq-handler-2", "third"}
    assert not calls.threads.busy
    assert calls.threads.close(timeout_s=5)


async def test_what_has_not_begun_can_be_withdrawn() -> None:
    """A queued call is taken back and never runs; a running one is not."""
    calls = Calls(limit=1)
    gate, begun = threading.Event(), threading.Event()

    def held() -> str:
        begun.set()
        gate.wait(10)
        return "held"

    running = calls.threads.submit(held, calls.done)
    queued = calls.threads.submit(lambda: "never", calls.done)
    await asyncio.to_thread(begun.wait, 10)
    assert calls.threads.withdraw(queued)
    assert not calls.threads.withdraw(queued)
    assert not calls.threads.withdraw(running)
    gate.set()
    calls.threads.submit(lambda: "last", calls.done)
    await calls.until(lambda: "last" in calls.results)
    assert calls.results == ["held", "last"]
    assert calls.threads.close(timeout_s=5)


async def test_closing_does_not_wait_for_what_does_not_end() -> None:
    """A thread still inside a function is reported after the timeout, and does not keep the process."""
    calls = Calls(limit=1)
    gate, begun = threading.Event(), threading.Event()

    def held() -> None:
        begun.set()
        gate.wait(10)

    calls.threads.submit(held, calls.done)
    await asyncio.to_thread(begun.wait, 10)
    assert calls.threads.busy
    assert not calls.threads.close(timeout_s=0)
    assert all(each.daemon for each in threading.enumerate() if each.name.startswith("rrq-handler"))
    gate.set()
    assert calls.threads.close(timeout_s=5)


def test_the_default_limit_is_bounded() -> None:
    """A large machine does not get a thousand threads."""
    assert 5 <= default_limit() <= 32
