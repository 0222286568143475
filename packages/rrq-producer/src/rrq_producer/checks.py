"""What callers may give, where the contract trusts their types: whatever is wrong is told by the name of its
field.

Values that are wrong are shown by their type only: their own text may be huge, or raise. Ranges, naming rules
and encoding are the contract's (:func:`rrq_protocol.transitions.prepare`).
"""

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from rrq_producer.errors import InvalidArgument
from rrq_protocol import InvalidJob, InvalidName, Job
from rrq_protocol.transitions import Guard

__all__ = [
    "check_guard",
    "check_job",
    "check_mappings",
    "check_name",
    "check_number",
    "checked_jobs",
    "seconds_of",
]

_SECONDS = "seconds (a number or a timedelta)"
_TEXTS = "a mapping of text to text"
_NUMBERS = frozenset({int, float, timedelta})

# Field, types that need no further look, expected otherwise.
_FIELDS: tuple[tuple[str, frozenset[type], str], ...] = (
    ("function_name", frozenset({str}), "a text"),
    ("params", frozenset({dict}), "a mapping of parameter names to values"),
    ("queue_name", frozenset({str, type(None)}), "a text or None"),
    ("job_id", frozenset({str, type(None)}), "a text or None"),
    ("unique_key", frozenset({str, type(None)}), "a text or None"),
    ("unique_ttl_seconds", _NUMBERS | {type(None)}, _SECONDS),
    ("max_retries", frozenset({int, type(None)}), "a whole number"),
    ("job_timeout_seconds", _NUMBERS | {type(None)}, _SECONDS),
    ("result_ttl_seconds", _NUMBERS | {type(None)}, _SECONDS),
    ("defer_by", _NUMBERS | {type(None)}, _SECONDS),
    ("defer_until", frozenset({type(None)}), "a datetime with a zone"),
    ("trace_context", frozenset({type(None)}), _TEXTS),
    ("correlation_context", frozenset({type(None)}), _TEXTS),
    ("on_conflict", frozenset({str}), '"return_existing" or "raise"'),
)
_CONFLICTS = frozenset({"return_existing", "raise"})
_MAX_BITS = 64
"""A whole number that needs more is out of every range, and its digits are too many to be shown."""


def check_job(job: object) -> None:
    """Refuse a job with a field of a wrong type.

    Raises:
        InvalidJob: It is no job, or a field is wrong; the error names it.
    """
    if not isinstance(job, Job):
        raise InvalidJob("job", f"expected a Job, got {_kind(job)}")
    for name, usual, expected in _FIELDS:
        value = getattr(job, name)
        if type(value) not in usual:
            _look_closer(name, value, expected)
        elif type(value) is int and value.bit_length() > _MAX_BITS:
            raise InvalidJob(name, f"expected {expected}, got {_number(value)}")
    check_mappings(job)
    if job.on_conflict not in _CONFLICTS:
        raise InvalidJob("on_conflict", f'expected "return_existing" or "raise", got {job.on_conflict!r:.80}')


def check_mappings(job: Job) -> None:
    """Refuse what the contract would take for an empty context, and names of parameters that are no texts.

    Raises:
        InvalidJob: It names the field.
    """
    if job.trace_context is not None and not isinstance(job.trace_context, Mapping):
        raise InvalidJob("trace_context", f"expected {_TEXTS}, got {_kind(job.trace_context)}")
    if job.correlation_context is not None and not isinstance(job.correlation_context, Mapping):
        raise InvalidJob("correlation_context", f"expected {_TEXTS}, got {_kind(job.correlation_context)}")
    for name in job.params:
        if not isinstance(name, str):
            raise InvalidJob("params", f"expected texts as names of parameters, got {_kind(name)}")


def check_guard(guard: object) -> None:
    """Refuse a guard with a field of a wrong type.

    Raises:
        InvalidJob: It is no guard, or a field is wrong; the error names it.
    """
    if guard is None:
        return
    if not isinstance(guard, Guard):
        raise InvalidJob("guard", f"expected a Guard or None, got {_kind(guard)}")
    if not isinstance(guard.kind, str):
        raise InvalidJob("guard", f"expected a text as its kind, got {_kind(guard.kind)}")
    if not isinstance(guard.key, str):
        raise InvalidJob(f"{guard.kind:.20}_key", f"expected a text, got {_kind(guard.key)}")
    seconds = seconds_of(guard.ttl_seconds)
    if seconds is None or not math.isfinite(seconds):
        shown = _kind(guard.ttl_seconds) if seconds is None else _number(guard.ttl_seconds)
        raise InvalidJob(f"{guard.kind:.20}_seconds", f"expected {_SECONDS}, got {shown}")


def checked_jobs(jobs: object) -> tuple[Any, ...]:
    """Return the items of ``enqueue_many``, not checked yet.

    Raises:
        InvalidJob: These are no items.
    """
    if isinstance(jobs, Job):
        raise InvalidJob("jobs", "expected several jobs, got a single Job; write [job]")
    if not isinstance(jobs, Iterable) or isinstance(jobs, str | bytes | bytearray):
        raise InvalidJob("jobs", f"expected jobs, got {_kind(jobs)}")
    return tuple(jobs)


def check_name(kind: str, name: object) -> None:
    """Refuse a name that is no text; ``kind`` is what it names.

    Raises:
        InvalidName: It is none.
    """
    if not isinstance(name, str):
        raise InvalidName(kind, type(name), "a text")


def check_number(
    field: str, value: object, is_right: Callable[[Any], bool], expected: str, *types: type
) -> None:
    """Refuse an argument that is no number of these types, or not in range.

    Raises:
        InvalidArgument: It names ``field``, what was expected and what came.
    """
    if isinstance(value, bool) or not isinstance(value, types):
        raise InvalidArgument(field, f"expected {expected}, got {_kind(value)}")
    if not is_right(value):
        raise InvalidArgument(field, f"expected {expected}, got {_number(value)}")


def seconds_of(value: object) -> float | None:
    """Return a duration in seconds, or None where ``value`` is none."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    return None if math.isnan(seconds) else seconds


def _look_closer(name: str, value: Any, expected: str) -> None:
    """Accept subclasses, and the values that no type tells of."""
    wanted: dict[str, type | tuple[type, ...]] = {
        "params": Mapping,
        "trace_context": Mapping,
        "correlation_context": Mapping,
        "defer_until": datetime,
        "max_retries": int,
    }
    duration = name.endswith("_seconds") or name == "defer_by"
    kinds = (int, float, timedelta) if duration else wanted.get(name, str)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise InvalidJob(name, f"expected {expected}, got {_kind(value)}")
    try:
        if isinstance(value, datetime):
            value.utcoffset()
        elif isinstance(value, Mapping):
            dict(value)
    except Exception as error:
        raise InvalidJob(name, f"expected {expected}; reading it raised {type(error).__name__}") from error


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__[:80]


def _number(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        return f"a number of {value.bit_length()} bits"
    return str(value)
