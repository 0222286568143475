"""Which ticks are due, and what becomes of missed ones (F54)."""

from typing import Literal

import pytest

from rrq_orchestrator.cron.schedule import Schedule
from rrq_orchestrator.cron.ticks import ON_TIME_S, MissedPolicy, due

NOON = 1_767_268_800
MINUTE = Schedule("* * * * *")
SECOND = Schedule("* * * * * *")


def decided(
    schedule: Schedule,
    last: float,
    now: float,
    policy: Literal["skip", "last", "all"] = "last",
    most: int = 100,
) -> tuple[list[int], int, int | None, int | None]:
    """Decide; all instants in and out are seconds after noon."""
    found = due(schedule, MissedPolicy(policy, most), round((NOON + last) * 1000), (NOON + now) * 1000)
    dropped, following = (None if at is None else at - NOON for at in (found.dropped, found.next))
    return [tick - NOON for tick in found.ticks], found.late, dropped, following


def test_nothing_is_fired_before_its_time() -> None:
    """A millisecond early is early; the next look is due at the tick."""
    assert decided(MINUTE, 0, 59.999) == ([], 0, None, 60)
    assert decided(MINUTE, 0, 60) == ([60], 0, None, 120)
    assert decided(MINUTE, 0, 61.5) == ([60], 0, None, 120)


def test_what_was_dealt_with_is_not_due() -> None:
    """The tick itself, and what lies before it; also when the clock was set back behind it."""
    assert decided(MINUTE, 60, 60) == ([], 0, None, 120)
    assert decided(MINUTE, 0.5, 0.7) == ([], 0, None, 60)
    assert decided(MINUTE, 3600, 60) == ([], 0, None, 3660)


@pytest.mark.parametrize("policy", ["skip", "last", "all"])
def test_a_tick_a_little_late_was_not_missed(policy: Literal["skip", "last", "all"]) -> None:
    """All of the last seconds are fired, in order, under each policy."""
    assert decided(SECOND, 0, 3.2, policy) == ([1, 2, 3], 0, None, 4)
    assert decided(MINUTE, 0, 60 + ON_TIME_S, policy) == ([60], 0, None, 120)


@pytest.mark.parametrize(
    ("policy", "most", "ticks", "late", "dropped"),
    [
        ("skip", 100, [], 0, 540),
        ("last", 100, [540], 1, 480),
        ("all", 100, list(range(60, 600, 60)), 9, None),
        ("all", 9, list(range(60, 600, 60)), 9, None),
        ("all", 3, [420, 480, 540], 3, 360),
        ("all", 1, [540], 1, 480),
    ],
)
def test_missed_ticks(
    policy: Literal["skip", "last", "all"], most: int, ticks: list[int], late: int, dropped: int | None
) -> None:
    """Ten minutes without anybody: none, the latest, or all up to a bound, the latest of them."""
    assert decided(MINUTE, 0, 599, policy, most) == (ticks, late, dropped, 600)


@pytest.mark.parametrize(
    ("policy", "ticks", "late", "dropped"),
    [
        ("skip", [600], 0, 540),
        ("last", [600], 0, 540),
        ("all", list(range(60, 601, 60)), 9, None),
    ],
)
def test_one_in_time_stands_for_those_before_it(
    policy: Literal["skip", "last", "all"], ticks: list[int], late: int, dropped: int | None
) -> None:
    """Where the latest tick is in time, the latest missed one need not run beside it."""
    assert decided(MINUTE, 0, 603, policy) == (ticks, late, dropped, 660)


def test_one_missed_tick_is_all_there_is_to_make_up_for() -> None:
    """Nothing is dropped then."""
    assert decided(MINUTE, 0, 80) == ([60], 1, None, 120)
    assert decided(MINUTE, 0, 80, "skip") == ([], 0, 60, 120)


def test_a_year_without_anybody_is_decided_at_once() -> None:
    """However many ticks were missed, only those that are fired are looked at, and one more."""
    year = 365 * 86_400
    assert decided(SECOND, -year, 0, "all", 3) == (list(range(-10 - 3, 1)), 3, -14, 1)
    assert decided(SECOND, -year, 0, "skip") == (list(range(-10, 1)), 0, -11, 1)


def test_an_end_of_all_ticks() -> None:
    """After the last one nothing is to be done any more."""
    end = due(Schedule("0 0 1 1 *"), MissedPolicy(), 7_258_118_400_000, 7_258_118_400_000.0)
    assert (end.ticks, end.next) == ((), None)
