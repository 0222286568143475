"""A cron expression in a time zone, and the instants it means; pure (RELIABILITY.md F53, F55).

``calendar`` answers in wall-clock time alone, as if there were no zones. What the zone makes of a wall-clock
time is decided here, so that it does not depend on the version of a library:

* A schedule that names hours (``30 2 * * *``) means times of day. Each is fired once: at its first occurrence
  where clocks are set back, and where they are set forward over it, at the first instant after the gap, or
  not at all (``gap="skip"``).
* A schedule of all hours (``*/5 * * * *``) means an interval. It goes on through both changes: an hour that
  comes twice is fired in twice, and an hour that does not come is none.

Instants are whole epoch seconds here; wall-clock times too, counted as if the clock showed UTC.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Literal
from zoneinfo import ZoneInfo

from rrq_orchestrator.cron.calendar import Calendar
from rrq_orchestrator.cron.expression import BadSchedule, read_expression

__all__ = ["Schedule", "find_zone"]

_is_zone_name: Final = re.compile(r"[A-Za-z0-9_+-]{1,32}(?:/[A-Za-z0-9_+-]{1,32}){0,2}").fullmatch
_WEEK: Final = 7 * 86_400
# 1 January 1970 to 1 January 2200, with a day for zones: nothing is due outside (I11).
_EARLIEST, _LATEST = 86_400, 7_258_032_000


def find_zone(name: str) -> tzinfo:
    """Return a time zone.

    Raises:
        BadSchedule: There is none of that name.
    """
    if name == "UTC":
        return UTC
    hint = f'expected a time zone such as "Europe/Berlin", got {name[:60]!a}'
    # A name becomes a path, and the name of a module.
    if _is_zone_name(name) is None:
        raise BadSchedule(hint)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BadSchedule(f"{hint}, of which this system has no data") from None


class Schedule:
    """The ticks of one expression. Equal arguments give equal ticks, on every machine.

    Args:
        text: Five fields (minute, hour, day of month, month, day of week), six with the second first, or a
            form such as ``@daily``.
        zone: Whose wall clock it is about.
        gap: What becomes of a time of day that is left out when clocks are set forward.

    Raises:
        BadSchedule: See the class.
    """

    def __init__(self, text: str, zone: tzinfo = UTC, *, gap: Literal["fire", "skip"] = "fire") -> None:
        self.text, self.zone = text, zone
        self._skips = gap == "skip"
        self._calendar = Calendar(read_expression(text))
        if self._calendar.after(_EARLIEST) is None:
            raise BadSchedule(f"expected a schedule that comes, got {text!a}, which never does")
        self._every_hour = self._calendar.hours is None

    def after(self, instant: int) -> int | None:
        """Return the first tick after an instant; None if there is none until 2200."""
        instant = min(max(instant, _EARLIEST), _LATEST)
        tick = self._next_interval(instant) if self._every_hour else self._next_time(instant)
        return tick if tick is not None and tick <= _LATEST else None

    def until(self, instant: int) -> Iterator[int]:
        """Yield the ticks up to and with an instant, the latest first."""
        instant = min(max(instant, _EARLIEST), _LATEST)
        ticks = self._intervals_back(instant) if self._every_hour else self._times_back(instant)
        for tick in ticks:
            if tick < _EARLIEST:
                return
            yield tick

    # Times of day.

    def _next_time(self, instant: int) -> int | None:
        # At the second occurrence of a time of day, those that follow it may have been fired an hour ago.
        wall = self._calendar.after(instant + self._offset(instant))
        while wall is not None:
            tick = self._instant_of(wall)
            if tick is not None and tick > instant:
                return tick
            wall = self._calendar.after(wall)
        return None

    def _times_back(self, instant: int) -> Iterator[int]:
        # At the second occurrence of a time of day, those that follow it may have been fired an hour ago.
        wall = self._calendar.before(instant + self._offset(instant, fold=0) + 1)
        earlier = instant + 1
        while wall is not None and wall > 0:
            tick = self._instant_of(wall)
            if tick is not None and tick < earlier:
                earlier = tick
                yield tick
            wall = self._calendar.before(wall)

    def _instant_of(self, wall: int) -> int | None:
        """Return when the wall clock shows a time first; None for a time it leaves out, if those are
        skipped."""
        shown = _EPOCH + timedelta(seconds=wall)
        before = wall - _seconds(shown.replace(tzinfo=self.zone, fold=0))
        if before + self._offset(before) == wall:
            return before
        if self._skips:
            return None
        after = wall - _seconds(shown.replace(tzinfo=self.zone, fold=1))
        return self._first_change(after, before, self._offset(after))

    # Intervals.

    def _next_interval(self, instant: int) -> int | None:
        start, offset = instant, self._offset(instant)
        while True:
            wall = self._calendar.after(start + offset)
            if wall is None:
                return None
            change = self._first_change(start, min(wall - offset, _LATEST), offset)
            if change is None:
                return wall - offset
            start, offset = change - 1, self._offset(change)

    def _intervals_back(self, instant: int) -> Iterator[int]:
        end, offset = instant + 1, self._offset(instant)
        while True:
            wall = self._calendar.before(end + offset)
            if wall is None or wall - offset < _EARLIEST:
                return
            tick = wall - offset
            change = self._last_change(max(tick, _EARLIEST), end - 1, offset)
            if change is None:
                end = tick
                yield tick
            else:
                end, offset = change + 1, self._offset(change)

    # The zone.

    def _offset(self, instant: int, *, fold: int | None = None) -> int:
        """Return how far the wall clock is ahead of UTC; with ``fold=0``, how far it was before it was set
        back, while it shows times for the second time."""
        if self.zone is UTC:
            return 0
        local = datetime.fromtimestamp(instant, self.zone)
        return _seconds(local if fold is None else local.replace(fold=fold))

    def _first_change(self, start: int, end: int, offset: int) -> int | None:
        """Return the first instant after ``start``, up to ``end``, with another offset than this."""
        while start < end:
            # Two changes within a week, of which the second undoes the first, would be overlooked.
            step = min(start + _WEEK, end)
            if self._offset(step) != offset:
                while step - start > 1:
                    middle = (start + step) // 2
                    start, step = (middle, step) if self._offset(middle) == offset else (start, middle)
                return step
            start = step
        return None

    def _last_change(self, start: int, end: int, offset: int) -> int | None:
        """Return the last instant from ``start`` on, before ``end``, with another offset than this."""
        while end > start:
            step = max(end - _WEEK, start)
            if self._offset(step) != offset:
                while end - step > 1:
                    middle = (end + step) // 2
                    step, end = (step, middle) if self._offset(middle) == offset else (middle, end)
                return step
            end = step
        return None


_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - wall-clock time has no zone


def _seconds(moment: datetime) -> int:
    offset = moment.utcoffset()
    assert offset is not None
    return round(offset.total_seconds())
