"""Cron expressions in time zones: which instants they mean (F53, F55)."""

import random
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Literal

import pytest

from rrq_orchestrator.cron.expression import BadSchedule
from rrq_orchestrator.cron.schedule import Schedule, find_zone

BERLIN, SYDNEY, NEW_YORK = "Europe/Berlin", "Australia/Sydney", "America/New_York"
ZONES = ("UTC", BERLIN, SYDNEY, NEW_YORK, "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca")


def seconds(text: str, zone: str = "UTC") -> int:
    """Return the epoch seconds of a local time; of two, the first."""
    return int(datetime.fromisoformat(text).replace(tzinfo=find_zone(zone)).timestamp())


def ticks(
    text: str, start: str, count: int, zone: str = "UTC", gap: Literal["fire", "skip"] = "fire"
) -> list[str]:
    """Return the next ticks after a local time as local times with offsets, and check the way back."""
    schedule = Schedule(text, find_zone(zone), gap=gap)
    found: list[int] = []
    last = seconds(start, zone)
    for _ in range(count):
        tick = schedule.after(last)
        assert tick is not None
        found.append(tick)
        last = tick
    assert list(islice(schedule.until(last), count))[::-1] == found
    return [f"{datetime.fromtimestamp(tick, schedule.zone):%Y-%m-%d %H:%M:%S %z}" for tick in found]


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("* * * * *", "2026-01-01 00:00:30", ["2026-01-01 00:01:00", "2026-01-01 00:02:00"]),
        ("*/10 * * * * *", "2026-01-01 00:00:55", ["2026-01-01 00:01:00", "2026-01-01 00:01:10"]),
        ("30 5 * * * *", "2026-01-01", ["2026-01-01 00:05:30", "2026-01-01 01:05:30"]),
        ("*/20 9-17/4 * * mon-fri", "2026-01-02 17:40", ["2026-01-05 09:00:00", "2026-01-05 09:20:00"]),
        ("0 0 1,15 feb,Aug *", "2026-02-01", ["2026-02-15 00:00:00", "2026-08-01 00:00:00"]),
        ("0 0 L * *", "2026-01-15", ["2026-01-31 00:00:00", "2026-02-28 00:00:00"]),
        ("0 0 31 * *", "2026-01-31", ["2026-03-31 00:00:00", "2026-05-31 00:00:00"]),
        ("0 0 29 2 *", "2096-03-01", ["2104-02-29 00:00:00", "2108-02-29 00:00:00"]),
        ("0 0 13 * fri", "2026-02-10", ["2026-02-13 00:00:00", "2026-02-20 00:00:00"]),
        ("0 0 * * 7", "2026-01-01", ["2026-01-04 00:00:00", "2026-01-11 00:00:00"]),
        ("0 0 * * mon#1", "2026-01-01", ["2026-01-05 00:00:00", "2026-02-02 00:00:00"]),
        ("0 0 * * L5", "2026-01-01", ["2026-01-30 00:00:00", "2026-02-27 00:00:00"]),
        ("0 0 1,15 * mon#1", "2026-11-22", ["2026-12-01 00:00:00", "2026-12-07 00:00:00"]),
        ("0 0 10 * mon#2", "2026-12-01", ["2026-12-10 00:00:00", "2026-12-14 00:00:00"]),
        ("0 0 31 2 L5", "2026-01-01", ["2026-02-27 00:00:00", "2027-02-26 00:00:00"]),
        ("0 0 * * sun#2,sun", "2026-11-22", ["2026-11-29 00:00:00", "2026-12-06 00:00:00"]),
        ("0 0 * * mon#1,fri", "2026-11-22", ["2026-11-27 00:00:00", "2026-12-04 00:00:00"]),
        ("0 0 * * fri-Fri", "2026-01-01", ["2026-01-02 00:00:00", "2026-01-09 00:00:00"]),
        ("0 0 05-5 3-mar *", "2026-01-01", ["2026-03-05 00:00:00", "2027-03-05 00:00:00"]),
        ("7-7/2 0-0 1-1 1-1 *", "2026-01-01 12:00", ["2027-01-01 00:07:00", "2028-01-01 00:07:00"]),
        ("0 0 * * 7-0", "2026-01-01", ["2026-01-04 00:00:00", "2026-01-11 00:00:00"]),
        ("0 22-1/2 * * sat-mon", "2026-01-05 21:00", ["2026-01-05 22:00:00", "2026-01-10 00:00:00"]),
        ("0 0 * * 0-7", "2026-01-05", ["2026-01-06 00:00:00", "2026-01-07 00:00:00"]),
        ("0 0 ? * ?", "2026-01-01", ["2026-01-02 00:00:00", "2026-01-03 00:00:00"]),
        (" 0\t0  1 1 * ", "2026-01-01", ["2027-01-01 00:00:00", "2028-01-01 00:00:00"]),
        ("@yearly", "2026-01-01", ["2027-01-01 00:00:00", "2028-01-01 00:00:00"]),
        ("@Annually", "2026-01-01", ["2027-01-01 00:00:00", "2028-01-01 00:00:00"]),
        ("@monthly", "2026-01-01", ["2026-02-01 00:00:00", "2026-03-01 00:00:00"]),
        ("@weekly", "2026-01-01", ["2026-01-04 00:00:00", "2026-01-11 00:00:00"]),
        ("@daily", "2026-01-01", ["2026-01-02 00:00:00", "2026-01-03 00:00:00"]),
        ("@midnight", "2026-01-01", ["2026-01-02 00:00:00", "2026-01-03 00:00:00"]),
        ("@hourly", "2026-01-01", ["2026-01-01 01:00:00", "2026-01-01 02:00:00"]),
    ],
)
def test_every_form_means_what_cron_means(text: str, start: str, expected: list[str]) -> None:
    """Five fields, six with seconds first, names, lists, ranges, steps, month ends and @ forms."""
    assert ticks(text, start, len(expected)) == [f"{each} +0000" for each in expected]


@pytest.mark.parametrize(
    ("text", "zone", "start", "expected"),
    [
        # A time of day that is left out is fired as soon as there is a time again, those of one gap once.
        ("30 2 * * *", BERLIN, "2026-03-28 12:00", ["03-29 03:00 +0200", "03-30 02:30 +0200"]),
        ("*/15 2 * * *", BERLIN, "2026-03-28 12:00", ["03-29 03:00 +0200", "03-30 02:00 +0200"]),
        ("0 2,3 * * *", BERLIN, "2026-03-28 12:00", ["03-29 03:00 +0200", "03-30 02:00 +0200"]),
        ("15 2 * * *", NEW_YORK, "2026-03-07 12:00", ["03-08 03:00 -0400", "03-09 02:15 -0400"]),
        ("@daily", "Pacific/Apia", "2011-12-29", ["12-31 00:00 +1400", "01-01 00:00 +1400"]),
        # One that comes twice is fired the first time.
        ("30 2 * * *", BERLIN, "2026-10-24 12:00", ["10-25 02:30 +0200", "10-26 02:30 +0100"]),
        ("30 1 * * *", NEW_YORK, "2026-10-31 12:00", ["11-01 01:30 -0400", "11-02 01:30 -0500"]),
        ("45 2 * * *", SYDNEY, "2026-04-04 12:00", ["04-05 02:45 +1100", "04-06 02:45 +1000"]),
        # An interval goes on through both.
        ("*/30 * * * *", BERLIN, "2026-03-29 01:00", ["03-29 01:30 +0100", "03-29 03:00 +0200"]),
        (
            "*/30 * * * *",
            BERLIN,
            "2026-10-25 02:00",
            [
                "10-25 02:30 +0200",
                "10-25 02:00 +0100",
                "10-25 02:30 +0100",
                "10-25 03:00 +0100",
            ],
        ),
        (
            "0 * * * *",
            "Australia/Lord_Howe",  # half an hour back
            "2026-04-05 01:00",
            ["04-05 02:00 +1030", "04-05 03:00 +1030"],
        ),
    ],
)  # fmt: skip
def test_changes_of_the_clock(text: str, zone: str, start: str, expected: list[str]) -> None:
    """Times of day are fired once per day, intervals by the time that passes (F53)."""
    found = ticks(text, start, len(expected), zone)
    assert [f"{each[5:16]}{each[19:]}" for each in found] == expected


def test_a_time_that_is_left_out_may_be_skipped() -> None:
    """`dst_gap = "skip"`: not at all that day."""
    found = ticks("30 2 * * *", "2026-03-28 02:30", 2, BERLIN, gap="skip")
    assert found == ["2026-03-30 02:30:00 +0200", "2026-03-31 02:30:00 +0200"]


def test_at_the_second_occurrence_nothing_is_fired_again() -> None:
    """Asked in the repeated hour, the next time of day is tomorrow's, and the last one is an hour old."""
    schedule = Schedule("15,45 2 * * *", find_zone(BERLIN))
    first = seconds("2026-10-25 02:15", BERLIN)
    for minutes in (60, 75, 89):
        assert schedule.after(first + minutes * 60) == seconds("2026-10-26 02:15", BERLIN)
        assert next(schedule.until(first + minutes * 60)) == first + 1800


def test_two_years_have_a_tick_a_day() -> None:
    """Whatever the clock does, in three zones (F53)."""
    for zone in (BERLIN, SYDNEY, NEW_YORK):
        for text in ("30 2 * * *", "30 1 * * *", "0 0 * * *"):
            schedule = Schedule(text, find_zone(zone))
            start, end = seconds("2026-01-01 12:00", zone), seconds("2028-01-01 12:00", zone)
            days = [
                datetime.fromtimestamp(tick, schedule.zone).date() for tick in _between(schedule, start, end)
            ]
            assert len(days) == len(set(days)) == 730


def test_an_hourly_schedule_never_pauses() -> None:
    """Every two ticks of two years are an hour apart, by the time that passes."""
    for zone in (BERLIN, SYDNEY, NEW_YORK):
        schedule = Schedule("@hourly", find_zone(zone))
        found = _between(schedule, seconds("2026-03-01"), seconds("2026-12-01"))
        assert {after - before for before, after in pairwise(found)} == {3600}


def _between(schedule: Schedule, start: int, end: int) -> list[int]:
    found = []
    tick = schedule.after(start)
    while tick is not None and tick <= end:
        found.append(tick)
        tick = schedule.after(tick)
    return found


def _any_field(rng: random.Random, least: int, most: int) -> str:
    match rng.randrange(5):
        case 0 | 1:
            return "*"
        case 2:
            return f"*/{rng.randint(1, most)}"
        case 3:
            first = rng.randint(least, most)
            return f"{first}-{rng.randint(first, most)}"
        case _:
            return ",".join(str(rng.randint(least, most)) for _ in range(rng.randint(1, 3)))


def _shows(text: str, local: datetime) -> bool:
    """Say whether an expression of numbers matches a wall-clock time: written anew, field by field."""
    second, minute, hour, day, month, weekday = text.split()

    def fits(field: str, value: int, least: int, most: int) -> bool:
        for part in field.split(","):
            span, _, step = part.partition("/")
            low, high = (least, most) if span == "*" else (int(span.split("-")[0]), int(span.split("-")[-1]))
            if low <= value <= high and (value - low) % int(step or 1) == 0:
                return True
        return False

    days = fits(day, local.day, 1, 31)
    weekdays = fits(weekday, local.isoweekday() % 7, 0, 6)
    either = (days and weekdays) if "*" in (day, weekday) else (days or weekdays)
    return (
        fits(second, local.second, 0, 59)
        and fits(minute, local.minute, 0, 59)
        and fits(hour, local.hour, 0, 23)
        and fits(month, local.month, 1, 12)
        and either
    )


def test_ticks_grow_and_match(rng: random.Random) -> None:
    """Any expression, zone and start: each tick is later than the one before and shows what the expression
    says, but for one that stands for a time that is left out; and nothing lies between two of them that the
    other direction finds."""
    for _ in range(150):
        fields = [
            _any_field(rng, least, most)
            for least, most in ((0, 59), (0, 59), (0, 23), (1, 28), (1, 12), (0, 6))
        ]
        text, zone = " ".join(fields), rng.choice(ZONES)
        schedule = Schedule(text, find_zone(zone))
        # Around the changes of clocks, half of the time.
        start = seconds(rng.choice(("2026-03-29", "2026-10-25", "2026-04-05", "2026-11-01", "2026-02-15")))
        start += rng.randint(-90_000, 90_000)
        found = [start]
        while len(found) < 20 and (tick := schedule.after(found[-1])) is not None:
            assert tick > found[-1], (text, zone, found[-1])
            found.append(tick)
            local = datetime.fromtimestamp(tick, schedule.zone)
            before = datetime.fromtimestamp(tick - 1, schedule.zone)
            assert _shows(text, local) or local.utcoffset() != before.utcoffset(), (text, zone, local)
        back = schedule.until(found[-1])
        assert list(islice(back, len(found) - 1))[::-1] == found[1:], (text, zone)


def test_intervals_are_every_match(rng: random.Random) -> None:
    """A schedule of all hours has each instant whose wall clock matches, through a change, and no other."""
    for _ in range(30):
        text = f"0 {_any_field(rng, 0, 59)} * * * *"
        zone = rng.choice((BERLIN, SYDNEY, NEW_YORK, "Australia/Lord_Howe"))
        start = seconds(
            rng.choice(("2026-03-28 22:00", "2026-10-24 22:00", "2026-04-04 12:00", "2026-10-03 12:00"))
        )
        schedule = Schedule(text, find_zone(zone))
        end = start + 6 * 3600
        every = [
            at
            for at in range(start + 60, end + 1, 60)
            if _shows(text, datetime.fromtimestamp(at, schedule.zone))
        ]
        assert _between(schedule, start, end) == every, (text, zone)


@pytest.mark.parametrize("text", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 30-31 feb *"])
def test_a_schedule_that_never_comes_is_refused(text: str) -> None:
    """When it is read, and not in the night it should have run (F55)."""
    with pytest.raises(BadSchedule, match="which never does"):
        Schedule(text)


@pytest.mark.parametrize(
    "name", ["", "Mars", "Europe", "../../etc/passwd", "/etc/localtime", "x" * 300, "a\0b", "\ud800", "utc\n"]
)
def test_what_is_no_zone_is_refused(name: str) -> None:
    """Whatever the text, with an example."""
    with pytest.raises(BadSchedule, match="Europe/Berlin"):
        find_zone(name)


def test_utc_needs_no_data() -> None:
    """The default works on a system without time zones."""
    assert find_zone("UTC") is UTC


def test_nothing_comes_after_the_end_of_times() -> None:
    """Nothing is due beyond 2200 (I11), and nothing before 1970; whatever the instant."""
    schedule = Schedule("@daily", find_zone(BERLIN))
    assert schedule.after(seconds("2199-12-31 12:00") + 366 * 86_400) is None
    assert schedule.after(10**18) is None
    assert schedule.after(-(10**18)) == seconds("1970-01-03", BERLIN)
    assert list(schedule.until(-5)) == []
    assert len(list(schedule.until(int(timedelta(days=10).total_seconds())))) == 9
