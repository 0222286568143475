"""One life after another, with lives that do what the test says."""

import asyncio
from collections.abc import Iterator

import pytest

from rrq_orchestrator.watch import Cycle
from rrq_protocol import SettingsError
from support.orchestrating import LOG, WITHIN_S

pytestmark = pytest.mark.anyio


class Life:
    """Runs until it is asked to end ``asks`` times, or at once with ``code``."""

    def __init__(self, asks: int = 1, code: int | None = None) -> None:
        self.asks, self.code = asks, code
        self.asked = 0
        self.reasons: list[str | None] = []
        self.begun, self.over = asyncio.Event(), asyncio.Event()

    def request_stop(self, reason: str | None = None) -> None:
        self.asked += 1
        self.reasons.append(reason)
        if self.asked >= self.asks:
            self.over.set()

    async def run(self) -> int:
        self.begun.set()
        if self.code is not None:
            return self.code
        await self.over.wait()
        return 0


class Edits:
    """Changes of files, by hand."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[str] = asyncio.Queue()

    def save(self) -> None:
        self.queue.put_nowait("a.py")

    async def next(self) -> list[str]:
        return [await self.queue.get()]


class Desk:
    """A cycle over the given lives; an exception stands for one that cannot begin."""

    def __init__(self, *lives: Life | Exception) -> None:
        self.edits = Edits()
        self._lives: Iterator[Life | Exception] = iter(lives)
        self.cycle = Cycle(make=self._make, prepare=self._prepare, changes=self.edits, log=LOG)
        self.preparing, self.go = asyncio.Event(), asyncio.Semaphore(0)
        self.slow = False
        self.good = True

    def _make(self) -> Life:
        life = next(self._lives)
        if isinstance(life, Exception):
            raise life
        return life

    async def _prepare(self) -> bool:
        self.preparing.set()
        if self.slow:
            await self.go.acquire()
        return self.good


async def test_a_change_ends_a_life_and_begins_the_next() -> None:
    """Asked once; a stop of the cycle ends the last one."""
    first, second = Life(), Life()
    desk = Desk(first, second)
    async with asyncio.timeout(WITHIN_S):
        running = asyncio.create_task(desk.cycle.run())
        await first.begun.wait()
        desk.edits.save()
        await second.begun.wait()
        desk.cycle.request_stop()
        assert await running == 0
    assert (first.asked, second.asked) == (1, 1)
    assert [life.reasons for life in (first, second)] == [
        ["a file changed, and the worker started again"],
        [None],
    ]


async def test_a_life_that_does_not_end_is_hurried() -> None:
    """A handler that blocks does not hold up the next try."""
    first, second = Life(asks=2), Life()
    desk = Desk(first, second)
    async with asyncio.timeout(WITHIN_S):
        running = asyncio.create_task(desk.cycle.run())
        await first.begun.wait()
        desk.edits.save()
        await second.begun.wait()
        desk.cycle.request_stop()
        await running
    assert first.asked == 2


@pytest.mark.parametrize("problem", [1, SettingsError(["rrq.x: wrong"])])
async def test_what_ended_by_itself_waits_for_a_change(problem: int | Exception) -> None:
    """A crash, or settings that are wrong for a moment, end nothing."""
    ended = Life(code=problem) if isinstance(problem, int) else problem
    first, last = Life(), Life()
    desk = Desk(first, ended, last)
    async with asyncio.timeout(WITHIN_S):
        running = asyncio.create_task(desk.cycle.run())
        await first.begun.wait()
        desk.edits.save()
        desk.preparing.clear()
        await desk.preparing.wait()
        for _ in range(50):  # until it has come to its end
            await asyncio.sleep(0)
        assert not last.begun.is_set()
        assert not running.done()
        desk.edits.save()
        await last.begun.wait()
        desk.cycle.request_stop()
        assert await running == 0


async def test_settings_that_are_wrong_from_the_start_are_an_error() -> None:
    """Whoever typed the command is there to read it."""
    with pytest.raises(SettingsError, match="wrong"):
        await Desk(SettingsError(["rrq.x: wrong"])).cycle.run()


async def test_a_change_does_not_interrupt_the_preparation_and_a_stop_does() -> None:
    """It may be a migration. Once it is done, it is done again, and nothing was started in between."""
    desk = Desk()
    desk.slow = True
    async with asyncio.timeout(WITHIN_S):
        running = asyncio.create_task(desk.cycle.run())
        await desk.preparing.wait()
        desk.edits.save()
        while not desk.edits.queue.empty():  # noqa: ASYNC110 - until the cycle has it
            await asyncio.sleep(0)
        desk.preparing.clear()
        desk.go.release()
        await desk.preparing.wait()
        desk.cycle.request_stop()
        assert await running == 0


async def test_a_preparation_that_fails_waits_for_a_change() -> None:
    """Then it is tried again."""
    life = Life()
    desk = Desk(life)
    desk.good = False
    async with asyncio.timeout(WITHIN_S):
        running = asyncio.create_task(desk.cycle.run())
        await desk.preparing.wait()
        desk.good = True
        desk.edits.save()
        await life.begun.wait()
        desk.cycle.request_stop()
        assert await running == 0
