"""Which wall-clock times an expression has: every combination of days against a calendar of our own."""

import calendar
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import takewhile

import pytest

from rrq_orchestrator.cron.calendar import Calendar
from rrq_orchestrator.cron.expression import read_expression

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - wall-clock time has no zone
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def is_day(day: str, month: str, weekday: str, date: datetime) -> bool:
    """Say whether a date is meant: written anew, from docs/cron.md alone."""
    if month != "*" and str(date.month) not in month.split(","):
        return False
    last = calendar.monthrange(date.year, date.month)[1]
    name, number = DAYS[date.isoweekday() % 7], date.isoweekday() % 7
    nth = f"{name}#{(date.day + 6) // 7}"
    by_month = any(date.day == (last if each == "L" else int(each)) for each in day.split(",") if day != "*")
    by_week = any(
        each in (name, nth) or (each == f"L{number}" and date.day > last - 7) for each in weekday.split(",")
    )
    if day == "*" or weekday == "*":
        return (day == "*" or by_month) and (weekday == "*" or by_week)
    return by_month or by_week


def any_days(rng: random.Random) -> tuple[str, str, str]:
    """Return a day of month, a month and a day of week: numbers, L, names, mon#2, L5, and lists of these."""
    days = ["*", "*", str(rng.randint(1, 31)), f"{rng.randint(1, 31)},{rng.randint(1, 31)}", "L", "L,15"]
    kinds = [
        lambda: rng.choice(DAYS),
        lambda: f"{rng.choice(DAYS)}#{rng.randint(1, 5)}",
        lambda: f"L{rng.randint(0, 6)}",
    ]
    weekday = ",".join(rng.choice(kinds)() for _ in range(rng.randint(1, 3)))
    month = rng.choice(["*", "*", "2", "2,6", str(rng.randint(1, 12))])
    return rng.choice(days), month, rng.choice(["*", weekday, weekday, weekday])


def test_all_combinations_of_days(rng: random.Random) -> None:
    """Days of the month, plain days of the week, nth and last ones, alone and in lists: both ways
    the days of six years are those that the calendar has (F55)."""
    begin, end = datetime(2023, 7, 1), datetime(2029, 7, 1)  # noqa: DTZ001 - wall-clock time has no zone
    dates = [begin + timedelta(days=each) for each in range((end - begin).days)]
    for _ in range(25):
        day, month, weekday = any_days(rng)
        text = f"0 0 {day} {month} {weekday}"
        times = Calendar(read_expression(text))
        expected = [date for date in dates if is_day(day, month, weekday, date)]
        forth = list(takewhile(lambda wall: wall < _seconds(end), _chain(times.after, _seconds(begin) - 1)))
        assert [EPOCH + timedelta(seconds=wall) for wall in forth] == expected, text
        back = list(takewhile(lambda wall: wall >= _seconds(begin), _chain(times.before, _seconds(end))))
        assert back[::-1] == forth, text


def _chain(step: Callable[[int], int | None], wall: int) -> Iterator[int]:
    """Yield what each answer leads to."""
    while (found := step(wall)) is not None:
        yield (wall := found)


@pytest.mark.parametrize("text", ["0 0 30 2 *", "0 0 31 4,6,9,11 *"])
def test_days_that_no_month_has(text: str) -> None:
    """There is none, in either direction."""
    times = Calendar(read_expression(text))
    assert (times.after(0), times.before(_seconds(datetime(2026, 1, 1)))) == (None, None)  # noqa: DTZ001 - wall-clock time


def test_all_hours_are_told() -> None:
    """An interval is told from times of day by its hours."""
    assert Calendar(read_expression("*/5 0-23 * * *")).hours is None
    assert Calendar(read_expression("0 9-11 * * *")).hours == frozenset({9, 10, 11})


def _seconds(wall: datetime) -> int:
    return int((wall - EPOCH).total_seconds())
