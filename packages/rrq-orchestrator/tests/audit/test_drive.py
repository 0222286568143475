"""A reading is carried out batch by batch, in its share of the time."""

from collections.abc import Sequence
from typing import Any

import pytest

from rrq_orchestrator.audit import drive
from rrq_orchestrator.audit.batches import Reading
from rrq_protocol import ManualClock

pytestmark = pytest.mark.anyio


class SlowLink:
    """Answers each command with itself; a batch takes some time."""

    def __init__(self, clock: ManualClock, takes_s: float = 0.02) -> None:
        self.clock, self.takes_s, self.batches = clock, takes_s, 0

    async def batch(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        self.batches += 1
        self.clock.advance(self.takes_s)
        return list(commands)


def reading(batches: int) -> Reading[list[Any]]:
    """Ask so often; return what was answered."""
    answers = []
    for n in range(batches):
        answers += yield [("GET", n), ("GET", -n)]
    return answers


async def test_replies_go_back_to_the_reading() -> None:
    """Its outcome is returned, also if it asks nothing."""
    link = SlowLink(ManualClock())
    assert await drive(reading(2), link, link.clock) == [("GET", 0), ("GET", 0), ("GET", 1), ("GET", -1)]
    assert await drive(reading(0), link, link.clock) == []
    assert link.batches == 2


async def test_the_rest_of_the_time_is_slept_through() -> None:
    """With 1 % of the time, 20 ms of work are followed by two seconds of rest."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(round(seconds, 6))

    link = SlowLink(ManualClock())
    await drive(reading(2), link, link.clock, share=0.01, sleep=sleep)
    assert slept == [1.98, 1.98]
    await drive(reading(2), link, link.clock, sleep=sleep)
    assert len(slept) == 2


async def test_a_pause_of_the_machine_is_not_paid_back() -> None:
    """An hour in which everything stood still, in the middle of a batch, costs ten seconds of rest."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    link = SlowLink(ManualClock(), takes_s=3600)
    await drive(reading(1), link, link.clock, share=0.01, sleep=sleep)
    assert slept == [10.0]
