"""Numbers, times and series in the words people read. Pure."""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

__all__ = [
    "age",
    "ago",
    "clock_time",
    "duration",
    "is_sparkline",
    "local_time",
    "number",
    "plural",
    "rate",
    "short_worker",
    "since",
    "sparkline",
]

_BARS = "▁▂▃▄▅▆▇█"
_OUR_ID = re.compile(r"rrq_worker_(.+)_(\d+)_[0-9a-f]{32}").fullmatch
_LONGEST_S = 10_000 * 365.25 * 86_400


def number(value: float | None) -> str:
    """Return a count with thousands separated, as in ``1,402``; a dash for None."""
    return "–" if value is None else f"{value:,.0f}"


def plural(count: int, noun: str, several: str = "") -> str:
    """Return ``1 job`` or ``2 jobs``."""
    return f"{count:,} {noun if count == 1 else several or noun + 's'}"


def duration(seconds: float | None) -> str:
    """Return a short duration: ``840 µs``, ``13 ms``, ``2.1 s``, ``4m 10s``, ``3h 5m``, ``12 d``.

    What no calendar has, infinity included, is ``∞``.
    """
    if seconds is None or math.isnan(seconds):
        return "–"
    if seconds > _LONGEST_S:
        return "∞"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs" if seconds > 0 else "0 s"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h {minutes}m"
    return f"{hours // 24:,} d"


def rate(per_second: float) -> str:
    """Return a rate that stays readable when it is small: ``231/s``, ``4.2/s``, ``3/min``, ``0``."""
    if per_second <= 0:
        return "0"
    if per_second >= 100:
        return f"{per_second:,.0f}/s"
    if per_second >= 1:
        return f"{per_second:.1f}/s"
    per_minute = per_second * 60
    return f"{per_minute:.1f}/min" if per_minute >= 0.1 else "<0.1/min"


def ago(then: datetime | None, now: datetime) -> str:
    """Return how long ago an instant is, or ``in …`` for one to come."""
    if then is None:
        return "–"
    seconds = (now - then).total_seconds()
    return f"in {duration(-seconds)}" if seconds < -0.0005 else duration(max(0.0, seconds))


def since(then: datetime | None, now: datetime) -> str:
    """Return how long ago an instant is as part of a sentence: ``9.0 s ago``, or ``in …`` for one to come."""
    text = ago(then, now)
    return text if then is None or text.startswith("in ") else f"{text} ago"


def age(then: datetime | None, now: datetime) -> str:
    """Return how long ago an instant is in one unit: ``9 s``, ``4 m``, ``3 h``, ``12 d``."""
    if then is None:
        return "–"
    seconds = max(0, int((now - then).total_seconds()))
    for size, unit in ((86_400 * 2, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // (86_400 if unit == 'd' else size):,} {unit}"
    return f"{seconds} s"


def local_time(instant: datetime) -> datetime:
    """Return an instant by the clock of this place; by that of UTC where the calendar ends before."""
    try:
        return instant.astimezone()
    except (OverflowError, ValueError, OSError):
        return instant.astimezone(UTC)


def clock_time(instant: datetime | None, *, day: bool = True) -> str:
    """Return an instant in local time with milliseconds."""
    if instant is None:
        return "–"
    local = local_time(instant)
    return local.strftime("%Y-%m-%d %H:%M:%S" if day else "%H:%M:%S") + f".{local.microsecond // 1000:03d}"


def sparkline(values: Sequence[float], columns: int) -> str:
    """Return a series as bars, one per column, each the sum of its share; nothing at all is a low line."""
    if not values or columns < 1:
        return ""
    columns = min(columns, len(values))
    edges = [round(i * len(values) / columns) for i in range(columns + 1)]
    sums = [sum(values[start:end]) for start, end in pairwise(edges)]
    top = max(sums)
    if top <= 0:
        return _BARS[0] * columns
    # Anything above zero rises above the line.
    return "".join(_BARS[0 if each <= 0 else max(1, round(each / top * (len(_BARS) - 1)))] for each in sums)


def is_sparkline(text: str) -> bool:
    """Return whether a text is made of such bars."""
    return bool(text) and set(text) <= set(_BARS)


def short_worker(name: str) -> str:
    """Return an orchestrator's id in few words: host and process id of one of ours, others whole."""
    ours = _OUR_ID(name)
    return f"{ours[1]}:{ours[2]}" if ours else name
