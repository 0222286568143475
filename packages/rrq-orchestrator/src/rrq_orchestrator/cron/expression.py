"""The text of a cron expression, read into plain fields; pure (RELIABILITY.md F55, S29).

Five fields (minute, hour, day of month, month, day of week), six with the second first, or a form such as
``@daily``. A field is ``*``, numbers, names of months and days, ranges (one may run over the end:
``fri-mon``), steps, and lists of these; as day of month also ``L``, the last one; as day of week ``mon#2``,
the second Monday of the month, and ``L5``, its last Friday; ``?`` is ``*``.
"""

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["BadSchedule", "read_expression"]

_FORMS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_VALUES: Final = {
    **{name: at for at, name in enumerate(_MONTHS, 1)},
    **{name: at for at, name in enumerate(_DAYS)},
}
_SUNDAY_TOO: Final = 7


@dataclass(frozen=True)
class _Field:
    """One field of an expression: its name, its values, their names, and what else it takes than numbers."""

    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()
    special: re.Pattern[str] = re.compile(r"(?!)")


_FIELDS: Final = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31, special=re.compile("l")),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, _DAYS, re.compile(rf"(?:[0-7]|{'|'.join(_DAYS)})#[1-5]|l[0-7]", re.ASCII)),
)
_part: Final = re.compile(
    r"(?:\*|(?P<low>\d{1,2}|[a-z]{3})(?:-(?P<high>\d{1,2}|[a-z]{3}))?)(?P<step>/\d{1,3})?", re.ASCII
)
_LONGEST_CHARS: Final = 256


class BadSchedule(ValueError):
    """The text is no schedule, or one that never comes; says what is wrong, in one line."""


def read_expression(text: str) -> list[str]:
    """Return the six fields of an expression, the second first, in small letters.

    Raises:
        BadSchedule: It is none, as far as its form tells.
    """
    if len(text) > _LONGEST_CHARS:
        raise BadSchedule(f"expected at most {_LONGEST_CHARS} characters, got {len(text)}")
    words = text.lower().split()
    if len(words) == 1 and words[0].startswith("@"):
        if words[0] not in _FORMS:
            raise BadSchedule(f"expected one of {', '.join(_FORMS)}, got {text!a}")
        words = _FORMS[words[0]].split()
    if len(words) == 5:
        words.insert(0, "0")
    if len(words) != 6:
        raise BadSchedule(f"expected 5 fields, or 6 with seconds first, got {text!a}")
    return [_plain(word, field, text) for word, field in zip(words, _FIELDS, strict=True)]


def _plain(word: str, field: _Field, text: str) -> str:
    """Return a field as a list of numbers, or ``*``: of ranges croniter's versions think differently, and of
    ``R`` and ``H`` two processes do.

    Raises:
        BadSchedule: It is no such field.
    """
    values: set[int] = set()
    others: list[str] = []
    for part in ["*"] if word == "?" and field.name.startswith("day") else word.split(","):
        if field.special.fullmatch(part):
            others.append(re.sub(r"[a-z]{3}", lambda name: str(_VALUES[name[0]]), part).replace("7", "0"))
            continue
        found = _part.fullmatch(part)
        numbers = _numbers(found, field) if found else None
        if not numbers:
            names = f", {field.names[0]} to {field.names[-1]}" if field.names else ""
            rule = f"{field.least} to {field.most}{names}, *, ranges or steps"
            said = f"expected {rule} as {field.name}, got {part[:60]!a}"
            raise BadSchedule(f"{said} in {text!a}")
        values.update(numbers)
    if len(values) > field.most - field.least:
        return "*"
    return ",".join([*map(str, sorted(values)), *others])


def _numbers(part: re.Match[str], field: _Field) -> list[int] | None:
    """Return the values of a number, a range, which may run over the end, or steps; None if it has a value
    the field has not."""
    step = int((part["step"] or "/1")[1:])
    low = field.least if part["low"] is None else _value(part["low"], field)
    open_end = part["low"] is None or (part["step"] is not None and part["high"] is None)
    high = field.most if open_end else _value(part["high"] or part["low"], field)
    if step == 0 or low is None or high is None:
        return None
    if field.names is _DAYS and low == _SUNDAY_TOO:
        low, high = 0, 0 if high == _SUNDAY_TOO else high
    span = [*range(low, high + 1)] or [*range(low, field.most + 1), *range(field.least, high + 1)]
    return [_in_week(value, field) for value in span[::step]]


def _value(word: str, field: _Field) -> int | None:
    if word in field.names:
        return _VALUES[word]
    most = _SUNDAY_TOO if field.names is _DAYS else field.most
    return int(word) if word.isdigit() and field.least <= int(word) <= most else None


def _in_week(value: int, field: _Field) -> int:
    return value % _SUNDAY_TOO if field.names is _DAYS else value
