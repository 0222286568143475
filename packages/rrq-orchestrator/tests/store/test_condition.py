"""What lasts is told when it begins, now and then, and when it ends."""

import asyncio

import pytest
import structlog

from rrq_orchestrator.store.condition import Condition

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
