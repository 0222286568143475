"""Numbers, times and series are put into words people read."""

import math
import time
from datetime import UTC, datetime, timedelta

import pytest

from rrq_cli.words import (
    age,
    ago,
    clock_time,
    duration,
    local_time,
    number,
    plural,
    rate,
    short_worker,
    since,
    sparkline,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "–"),
        (0, "0 s"),
        (0.00084, "840 µs"),
        (0.013, "13 ms"),
        (0.9996, "1.0 s"),
        (2.14, "2.1 s"),
        (59.96, "1m 0s"),
        (250, "4m 10s"),
        (3 * 3600 + 300, "3h 5m"),
        (12 * 86400, "12 d"),
    ],
)
def test_durations_are_short(seconds: float | None, expected: str) -> None:
    """A duration is shown in the unit that fits it, and never as sixty of one."""
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("per_second", "expected"),
    [(0, "0"), (1234.5, "1,234/s"), (4.23, "4.2/s"), (0.05, "3.0/min"), (0.0001, "<0.1/min")],
)
def test_rates_stay_readable_when_small(per_second: float, expected: str) -> None:
    """A slow queue's rate is told per minute, and never as zero."""
    assert rate(per_second) == expected


def test_ages_are_one_unit_and_futures_are_told() -> None:
    """A past instant is an age, a coming one is said to come, none is a dash."""
    assert [age(NOW - timedelta(seconds=s), NOW) for s in (9, 240, 3 * 3600, 12 * 86400)] == [
        "9 s",
        "4 m",
        "3 h",
        "12 d",
    ]
    assert age(None, NOW) == ago(None, NOW) == clock_time(None) == "–"
    assert ago(NOW + timedelta(seconds=5), NOW) == "in 5.0 s"
    assert age(NOW + timedelta(seconds=5), NOW) == "0 s"
    assert clock_time(NOW).endswith(".000")


def test_numbers_and_nouns() -> None:
    """Thousands are parted, one is singular."""
    assert number(1402) == "1,402"
    assert number(None) == "–"
    assert plural(1, "job") == "1 job"
    assert plural(1200, "retry", "retries") == "1,200 retries"


def test_a_sparkline_shows_every_activity() -> None:
    """The highest bar is full, nothing is a low line, and a single job among thousands is still seen."""
    assert sparkline([0, 0], 5) == "▁▁"
    assert sparkline([], 5) == ""
    assert sparkline([1, 1000], 2) == "▂█"
    assert len(sparkline(list(range(60)), 12)) == 12
    assert sparkline([1, 1, 2, 2], 2)[-1] == "█"


@pytest.mark.parametrize("seconds", [math.inf, 1e300, 1e12])
def test_what_no_calendar_has_is_endless(seconds: float) -> None:
    """A time that a stranger wrote is a sign, and no number of three hundred digits."""
    assert duration(seconds) == "∞"
    assert duration(-seconds) == "0 s"
    assert duration(math.nan) == "–"


def test_instants_at_the_ends_of_the_calendar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the clock of this place has no such time, that of UTC is shown."""
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    monkeypatch.setenv("TZ", "AAA-14")
    time.tzset()
    try:
        assert local_time(last) == last
        assert clock_time(last) == "9999-12-31 23:59:59.000"
        assert local_time(NOW).utcoffset() == timedelta(hours=14)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_instants_in_sentences() -> None:
    """A past instant is so long ago, a coming one is in so long."""
    assert since(NOW - timedelta(seconds=9), NOW) == "9.0 s ago"
    assert since(NOW + timedelta(seconds=9), NOW) == "in 9.0 s"
    assert since(None, NOW) == "–"


def test_workers_of_others_keep_their_names() -> None:
    """Only ids of our own form are shortened."""
    assert short_worker("worker-1") == "worker-1"
    assert short_worker("rrq_worker_a_b_12_" + "f" * 32) == "a_b:12"
