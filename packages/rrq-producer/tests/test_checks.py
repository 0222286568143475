"""What callers may give: every wrong value of every field is told by the field's name."""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any

import pytest

from rrq_producer.checks import check_guard, check_job, check_number, checked_jobs, seconds_of
from rrq_producer.errors import InvalidArgument
from rrq_producer.jobs import JobRules
from rrq_protocol import InvalidJob, InvalidName, Job, Settings
from rrq_protocol.transitions import Guard

RULES = JobRules.of(Settings())


class Unprintable:
    """Its text cannot be had."""

    def __repr__(self) -> str:
        raise ZeroDivisionError


class Unreadable(Mapping[str, str]):
    """Its items cannot be had."""

    def __getitem__(self, key: str) -> str:
        raise ZeroDivisionError

    def __iter__(self) -> Iterator[str]:
        raise ZeroDivisionError

    def __len__(self) -> int:
        return 1


class Nowhere(tzinfo):
    """A zone that does not work."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        raise ZeroDivisionError

    def dst(self, moment: datetime | None) -> timedelta | None:
        return None

    def tzname(self, moment: datetime | None) -> str:
        return "Nowhere"


def _deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def _cyclic() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["x"] = value
    return value


NEVER_RIGHT: list[Any] = [
    b"x", bytearray(b"x"), True, False, object(), Unprintable(), {1, 2}, (1, 2), [], [1], 3j, Decimal("NaN"),
    date(2030, 1, 1), int, len, iter(()), {"x": Unprintable()}, {Unprintable(): 1}, {"x": 10**5000},
    {"x": _deep(3000)}, {"x": object()}, _cyclic(), {1: "x"}, {None: "x"}, {b"x": "y"}, {"x": "\ud800"},
    {"\ud800": "x"}, {"x": math.nan}, {"x": math.inf}, Unreadable(), Job("f"),
    datetime(2030, 1, 1),  # noqa: DTZ001 - refused for being naive
    datetime(2030, 1, 1, tzinfo=Nowhere()), {"x": datetime(2030, 1, 1, tzinfo=Nowhere())},
    datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
]  # fmt: skip
TEXTS: list[Any] = ["", "  ", "\ud800", "a\0b", "a\nb", "5", "x" * 100_000]
HUGE: list[Any] = [
    10**400, -(10**400), 10**5000, -(10**5000), 2**64, math.nan, math.inf, -math.inf, timedelta.max,
]  # fmt: skip
NUMBERS: list[Any] = [*HUGE, -1, 0, 1.5, -0.5, timedelta(1)]
ALL: list[Any] = [*NEVER_RIGHT, *TEXTS, *NUMBERS]
NAME: list[Any] = [*NEVER_RIGHT, *(text for text in TEXTS if text != "5"), *NUMBERS, {}]
SECONDS: list[Any] = [*NEVER_RIGHT, *TEXTS, *HUGE, -1, -0.5, timedelta(-1), {}]
CONTEXT: list[Any] = [*ALL, {"x": 1}, {"x": None}, {"x": "y" * 100_000}]
WRONG: dict[str, list[Any]] = {
    "function_name": [*NAME, None, "f#", "#f"],
    "params": [*ALL, {"x": "y" * 2**20}],
    "queue_name": [*NAME, "rrq:queue:x"],
    "job_id": [*NAME, "a b"],
    "unique_key": [value for value in NAME if value != "  "],
    "unique_ttl_seconds": [*SECONDS, 0],
    "max_retries": [*ALL, {}],
    "job_timeout_seconds": [*SECONDS, 0],
    "result_ttl_seconds": SECONDS,
    "defer_by": SECONDS,
    "defer_until": [*ALL, "2030-01-01T00:00:00Z", {}],
    "trace_context": CONTEXT,
    "correlation_context": CONTEXT,
    "on_conflict": [*ALL, None, "maybe", {}],
}


@pytest.mark.parametrize("field", WRONG)
def test_every_wrong_value_is_told_by_its_field(field: str) -> None:
    """Whatever a field is given that it cannot be, the error names the field and is short; it is never an
    error of some line inside."""
    for value in WRONG[field]:
        given: dict[str, Any] = {"function_name": "f", field: value}
        with pytest.raises(InvalidJob) as refused:
            RULES.prepared(Job(**given))
        assert refused.value.field.partition(".")[0] == field, type(value)
        assert len(str(refused.value)) < 400
        str(refused.value).encode()
        with pytest.raises(InvalidJob) as refused:
            RULES.many([Job("f"), Job(**given)])
        assert refused.value.field.startswith(f"jobs[1].{field}")


RIGHT: dict[str, list[Any]] = {
    "queue_name": [None, "q"],
    "unique_ttl_seconds": [None, 1, 0.5, timedelta(seconds=5)],
    "max_retries": [None, 1],
    "defer_until": [None, datetime(2030, 1, 1, tzinfo=UTC)],
    "trace_context": [None, {}, {"a": "b"}],
    "params": [{}, {"x": 10**400, "y": Decimal("1.5"), "z": datetime(2030, 1, 1, tzinfo=UTC), "": {1: 2}}],
}


@pytest.mark.parametrize("field", RIGHT)
def test_every_right_value_is_taken(field: str) -> None:
    """What a field may be passes, subclasses too."""
    for value in RIGHT[field]:
        given: dict[str, Any] = {"function_name": "f", field: value}
        assert RULES.prepared(Job(**given)).args
        check_job(Job(**given))
    texts = type("Text", (str,), {})
    assert RULES.prepared(Job(texts("f"), queue_name=texts("q"))).queue_name == "q"


@pytest.mark.parametrize(
    ("guard", "field"),
    [
        ("reschedule", "guard"),
        (Guard(Unprintable()), "guard"),  # type: ignore[arg-type] # as an untyped program may
        (Guard("throttle"), "guard"),
        (Guard("rate_limit", b"k", 1), "rate_limit_key"),  # type: ignore[arg-type] # as above
        (Guard("rate_limit", "", 1), "rate_limit_key"),
        (Guard("debounce", "k", None), "debounce_seconds"),  # type: ignore[arg-type] # as above
        (Guard("debounce", "k", 10**5000), "debounce_seconds"),
        (Guard("debounce", "k", math.nan), "debounce_seconds"),
        (Guard("debounce", "k"), "debounce_seconds"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_wrong_guard_is_told(guard: Any, field: str) -> None:
    """A condition that cannot be met is refused by the name of its part."""
    with pytest.raises(InvalidJob) as refused:
        RULES.prepared(Job("f"), guard)
    assert refused.value.field == field
    check_guard(None)


@pytest.mark.parametrize("job", [None, "f", {"function_name": "f"}, 5, Job], ids=str)
def test_what_is_no_job_is_told(job: Any) -> None:
    """Whatever came instead is named."""
    with pytest.raises(InvalidJob, match="expected a Job, got ") as refused:
        RULES.prepared(job)
    assert refused.value.field == "job"


@pytest.mark.parametrize(
    "jobs", [None, 5, "f", b"f", Job("f"), object()], ids=lambda value: type(value).__name__
)
def test_what_is_not_many_is_told(jobs: Any) -> None:
    """A single job, or none at all, is no sequence of jobs."""
    with pytest.raises(InvalidJob, match="jobs: expected ") as refused:
        checked_jobs(jobs)
    assert refused.value.field == "jobs"


def test_numbers_are_checked_for_kind_and_range() -> None:
    """A bool is no number, and a number of thousands of digits is told by its size."""
    check_number("n", 1, lambda n: n > 0, "more than 0", int)
    for value, text in (
        (True, "got bool"),
        (1.0, "got float"),
        (None, "got None"),
        (0, "got 0"),
        (-(10**5000), "got a number of 16610 bits"),
    ):
        with pytest.raises(InvalidArgument, match=f"n: expected more than 0, {text}") as refused:
            check_number("n", value, lambda n: n > 0, "more than 0", int)
        assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1, 1),
        (0.5, 0.5),
        (timedelta(minutes=1), 60),
        (10**400, math.inf),
        (-(10**400), -math.inf),
        (True, None),
        ("1", None),
        (math.nan, None),
        (None, None),
    ],
)
def test_seconds_are_numbers_or_timedeltas(value: object, seconds: float | None) -> None:
    """A duration is a number that is one, or a timedelta."""
    assert seconds_of(value) == seconds


def test_names_of_other_types_are_no_names() -> None:
    """A queue name, a prefix, a job id of another type is refused without a look at its text."""
    for queue_name in (5, b"q", Unprintable()):
        with pytest.raises(InvalidName, match="expected a text"):
            JobRules.of(Settings(), queue_name=queue_name)  # type: ignore[arg-type] # as an untyped program may
