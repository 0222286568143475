"""What lasts is told when it begins, now and then, and when it ends."""

import asyncio
from collections.abc import MutableMapping
from typing import Never

import pytest
import structlog

from rrq_orchestrator.store.condition import Condition
from rrq_protocol import LogLimit

pytestmark = pytest.mark.anyio


def outage(reminders_s: tuple[float, ...] = (3600.0,)) -> Condition:
    return Condition(structlog.get_logger().bind(address="here"), "lost", "still_lost", "back", reminders_s)


async def test_it_is_told_once_and_its_end_says_how_long_it_lasted() -> None:
    """However often it is noted meanwhile; and nothing at all is told of what never began."""
    with structlog.testing.capture_logs() as logged:
        condition = outage()
        condition.end()
        for problem in ("refused", "timed out"):
            condition.begin(problem=problem)
            assert condition.holds
        condition.end()
        condition.end()
    assert not condition.holds
    begun, ended = logged
    assert begun == {"event": "lost", "log_level": "warning", "address": "here", "problem": "refused"}
    assert (ended["event"], ended["log_level"]) == ("back", "info")
    assert 0 <= ended["outage_s"] < 10


async def test_it_is_told_again_at_growing_intervals() -> None:
    """At each of the times given, then every so many seconds as the last of them; with the latest problem."""
    with structlog.testing.capture_logs() as logged:
        condition = outage((0.02, 0.06))
        condition.begin(problem="first")
        condition.begin(problem="latest")
        while len(logged) < 5:  # noqa: ASYNC110 - the log tells nobody
            await asyncio.sleep(0.005)
        condition.forget()
        count = len(logged)
        await asyncio.sleep(0.1)
        assert len(logged) == count
    assert [entry["event"] for entry in logged] == ["lost"] + ["still_lost"] * 4
    assert {entry["problem"] for entry in logged[1:]} == {"latest"}
    assert {entry["log_level"] for entry in logged} == {"warning"}
    for entry, due_s in zip(logged[1:], (0.02, 0.06, 0.12, 0.18), strict=True):
        assert due_s - 0.001 <= entry["outage_s"] < due_s + 5


async def test_a_second_time_is_told_as_the_first() -> None:
    """Nothing is left of the time before."""
    with structlog.testing.capture_logs() as logged:
        condition = outage()
        for _ in range(2):
            condition.begin()
            condition.end()
    assert [entry["event"] for entry in logged] == ["lost", "back"] * 2


async def test_what_comes_and_goes_is_told_a_few_times() -> None:
    """Three times at once; an end is told where the beginning was."""
    with structlog.testing.capture_logs() as logged:
        condition = outage()
        for number in range(20):
            condition.begin(number=number)
            assert condition.holds
            condition.end()
            assert not condition.holds
    assert [entry["event"] for entry in logged] == ["lost", "back"] * 3
    assert [entry["number"] for entry in logged[::2]] == [0, 1, 2]


class Gate(LogLimit):
    """Lets nothing through until it is opened."""

    opened = False

    def due_in_s(self, now_s: float) -> float:
        """Soon, while it is closed."""
        return 0.0 if self.opened else 0.005


async def test_what_was_left_out_is_told_if_it_lasts() -> None:
    """When its turn comes, with the latest problem and a count of those before it; then its end as well."""
    told, gate = asyncio.Event(), Gate(1.0)

    def see(_logger: object, _method: str, entry: MutableMapping[str, object]) -> Never:
        seen.append(entry)
        told.set()
        raise structlog.DropEvent

    seen: list[MutableMapping[str, object]] = []
    log = structlog.wrap_logger(None, processors=[see])
    condition = Condition(log, "lost", "still_lost", "back", (3600.0,), gate)
    for _ in range(5):
        condition.begin(problem="first")
        condition.end()
    condition.begin(problem="early")
    condition.begin(problem="latest")
    assert condition.holds
    assert seen == []
    gate.opened = True
    await asyncio.wait_for(told.wait(), 60)
    condition.end()
    lost, back = seen
    assert lost == {"event": "lost", "problem": "latest", "untold": 5}
    assert back["event"] == "back"


async def test_what_was_left_out_is_not_told_when_it_is_over() -> None:
    """Neither later, nor when the process ends meanwhile."""
    gate = Gate(1.0)
    with structlog.testing.capture_logs() as logged:
        condition = Condition(structlog.get_logger(), "lost", "still_lost", "back", (3600.0,), gate)
        for end in (condition.end, condition.forget):
            condition.begin()
            end()
            gate.opened = True
            await asyncio.sleep(0.05)
            gate.opened = False
    assert logged == []
