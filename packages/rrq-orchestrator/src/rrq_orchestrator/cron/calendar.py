"""The wall-clock times of a cron expression, as if there were no zones; pure (RELIABILITY.md F55).

croniter knows the calendar. It is asked about one kind of days at a time (days of the month, days of the
week, one nth weekday), and the earliest answer is taken: asked about two kinds at once, it joins some with
"and", takes some for others, and refuses some.

Times are whole seconds since 1970, counted as if the clock showed UTC.
"""

import re
from collections.abc import Iterator, Sequence

from croniter import CroniterError, croniter

__all__ = ["Calendar"]

_is_plain = re.compile(r"\d", re.ASCII).fullmatch


class Calendar:
    """The times of one expression.

    Args:
        fields: Six, the second first, as ``read_expression`` returns them.

    Attributes:
        hours: The hours in which it has times; None for all of them.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        second, minute, hour, _, month, _ = fields
        self.hours = None if hour == "*" else frozenset(map(int, hour.split(",")))
        self._parts = [
            # Its own order has the second last.
            croniter(f"{minute} {hour} {day} {month} {weekday} {second}", 0.0)
            for day, weekday in _kinds_of_days(fields[3], fields[5])
        ]

    def after(self, wall: int) -> int | None:
        """Return the first time after another; None if there is none within fifty years."""
        return min(self._answers("get_next", wall), default=None)

    def before(self, wall: int) -> int | None:
        """Return the last time before another; None if there is none within fifty years."""
        return max(self._answers("get_prev", wall), default=None)

    def _answers(self, ask: str, wall: int) -> Iterator[int]:
        for part in self._parts:
            try:
                yield round(getattr(part, ask)(float, start_time=float(wall)))
            except CroniterError:  # it has none
                continue


def _kinds_of_days(day: str, weekday: str) -> Iterator[tuple[str, str]]:
    """Yield day of month and day of week for each kind: where both are restricted, one of them suffices."""
    if weekday == "*":
        yield day, "*"
        return
    if day != "*":
        yield day, "*"
    parts = weekday.split(",")
    plain = ",".join(part for part in parts if _is_plain(part))
    if plain:
        yield "*", plain
    yield from (("*", part) for part in parts if not _is_plain(part))
