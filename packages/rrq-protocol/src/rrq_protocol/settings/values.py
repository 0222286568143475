"""One value at a time: durations, sizes, numbers and texts, from TOML, from code or from the environment."""

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from typing import Final

from rrq_protocol._masking import hide_passwords
from rrq_protocol.errors import InvalidName
from rrq_protocol.names import validate_function_name, validate_queue_name
from rrq_protocol.settings.schema import TypeSpec
from rrq_protocol.settings.secret import Secret

__all__ = ["INVALID", "Invalid", "describe", "parse_duration", "parse_size", "read_scalar"]

_DURATION_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_SIZE_UNITS: Final = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
}
_NUMBER = r"(\d{1,15}(?:\.\d{1,9})?)"
_duration_part = re.compile(rf"{_NUMBER}\s*(ms|s|m|h|d)\s*")
_whole_duration = re.compile(rf"(?:{_NUMBER}\s*(?:ms|s|m|h|d)\s*)+").fullmatch
_whole_size = re.compile(rf"{_NUMBER}\s*([KMG]?I?B|)", re.IGNORECASE).fullmatch
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_full_key = re.compile(r"[^:].*:(?:queue|dlq):").match

# What every number must stay below: timestamps, Redis integers and sleep functions all cope with these.
_MAX_SECONDS: Final = 100 * 365 * 86_400
_MAX_INT: Final = 2**53


class Invalid:
    """The answer of a reader whose value does not fit; the caller words the problem."""


INVALID: Final = Invalid()


def parse_duration(text: str) -> float | None:
    """Return the seconds of ``"90s"``, ``"5m"``, ``"1h30m"`` or ``"250ms"``, or None for any other text."""
    text = text.strip()
    if _whole_duration(text) is None:
        return None
    return _tidy(
        math.fsum(float(number) * _DURATION_UNITS[unit] for number, unit in _duration_part.findall(text))
    )


def parse_size(text: str) -> int | None:
    """Return the bytes of ``"512MiB"``, ``"64 KiB"``, ``"1GB"``, or None where the text is no size."""
    match = _whole_size(text.strip())
    if match is None:
        return None
    unit = _SIZE_UNITS.get(match[2].upper())
    return None if unit is None else int(float(match[1]) * unit)


def describe(value: object, spec: TypeSpec | None = None) -> str:
    """Say what came, for an error text. Long texts are cut, and values that may be secret are not shown."""
    kind = (
        "table"
        if isinstance(value, Mapping)
        else "list"
        if isinstance(value, list | tuple)
        else type(value).__name__
    )
    if kind in {"table", "list"} or isinstance(value, Secret):
        return f"a {kind.lower()}"
    if spec is not None and _may_hold_secret(spec):
        if isinstance(value, str) and value and not value.isprintable():
            return "a text with a line end or another character that is not printable"
        return f"a value of type {kind}"
    if spec is not None and spec.kind == "command" and isinstance(value, str):
        return "a text"  # any of its words may be a password
    text = (
        ascii(hide_passwords(value)[:60])
        if isinstance(value, str)
        else ascii(value)
        if _is_short(value)
        else f"a large {kind}"
    )
    numeric = spec is None or spec.shape in ("int", "float")
    if (numeric and _is_number(value)) or (spec is not None and spec.shape == "choice"):
        return text
    return f"{kind} {text}"


def _may_hold_secret(spec: TypeSpec) -> bool:
    # Or a table of such values, given as one text.
    return (
        spec.shape == "secret"
        or spec.kind == "private"
        or (spec.item is not None and _may_hold_secret(spec.item))
    )


def read_scalar(value: object, spec: TypeSpec, *, text: bool) -> object:
    """Return the value in the model's type, or :data:`INVALID`.

    Args:
        value: What was given.
        spec: What it must be.
        text: Whether numbers and truth values may be given as text, as in the environment.
    """
    read = _DURATION_OR_SIZE.get(spec.kind) or _BY_SHAPE[spec.shape]
    result = read(value, spec, text)
    if isinstance(result, Invalid) or not _in_range(result, spec):
        return INVALID
    return result


def _read_bool(value: object, _spec: TypeSpec, text: bool) -> object:
    if text and isinstance(value, str):
        word = value.strip().lower()
        return True if word in _TRUE else False if word in _FALSE else INVALID
    return value if isinstance(value, bool) else INVALID


def _read_int(value: object, _spec: TypeSpec, text: bool) -> object:
    if text and isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,18}\s*", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else INVALID


def _read_float(value: object, _spec: TypeSpec, text: bool) -> object:
    if text and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return INVALID
    return value if _is_number(value) else INVALID


def _read_duration(value: object, spec: TypeSpec, text: bool) -> object:
    seconds: object = value
    if isinstance(value, dt.timedelta):
        seconds = _tidy(value.total_seconds())
    elif isinstance(value, str):
        seconds = parse_duration(value)
        if seconds is None:
            seconds = _read_float(value, spec, text)
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int | float)
        or not _at_most(seconds, _MAX_SECONDS)
    ):
        return INVALID
    if spec.shape == "int":
        return int(seconds) if math.isfinite(seconds) and seconds == int(seconds) else INVALID
    return _tidy(seconds)


def _read_size(value: object, spec: TypeSpec, text: bool) -> object:
    if isinstance(value, str):
        size = parse_size(value) if text or not value.strip().isdecimal() else None
        return INVALID if size is None else size
    return _read_int(value, spec, text)


def _read_str(value: object, spec: TypeSpec, _text: bool) -> object:
    if not isinstance(value, str) or "\0" in value or not _is_encodable(value):
        return INVALID
    try:
        match spec.kind:
            case "queue":
                found = _full_key(value)
                return validate_queue_name(value[found.end() :] if found else value)
            case "runner":
                return validate_queue_name(value)
            case "function":
                return validate_function_name(value)
    except InvalidName:
        return INVALID
    return value


def _read_secret(value: object, _spec: TypeSpec, _text: bool) -> object:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        return INVALID
    # What writes files and variables likes to end them with a line end.
    value = value.strip()
    return Secret(value) if value.isprintable() else INVALID


def _read_choice(value: object, spec: TypeSpec, _text: bool) -> object:
    return value if isinstance(value, str) and value in spec.choices else INVALID


def _read_any(value: object, _spec: TypeSpec, _text: bool) -> object:
    return value


_Read = Callable[[object, TypeSpec, bool], object]
_DURATION_OR_SIZE: Final[Mapping[str, _Read]] = {"duration": _read_duration, "size": _read_size}
_BY_SHAPE: Final[Mapping[str, _Read]] = {
    "bool": _read_bool,
    "int": _read_int,
    "float": _read_float,
    "str": _read_str,
    "secret": _read_secret,
    "choice": _read_choice,
    "any": _read_any,
}


def _in_range(value: object, spec: TypeSpec) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    return (
        _at_most(value, _MAX_INT)
        and (spec.ge is None or value >= spec.ge)
        and (spec.gt is None or value > spec.gt)
        and (spec.le is None or value <= spec.le)
    )


def _at_most(value: float, bound: float) -> bool:
    return -bound <= value <= bound  # false for NaN


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_short(value: object) -> bool:
    # The decimal form of a very long integer is refused by Python itself.
    return not isinstance(value, int) or value.bit_length() < 200


def _is_encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _tidy(seconds: float) -> float:
    """Return whole seconds as int, so that they are stored without a decimal point."""
    return int(seconds) if math.isfinite(seconds) and seconds == int(seconds) else seconds
