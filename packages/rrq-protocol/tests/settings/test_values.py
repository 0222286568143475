"""Single values: durations, sizes, numbers, texts."""

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrq_protocol.settings import Secret, parse_duration, parse_size
from rrq_protocol.settings.schema import TypeSpec, spec_at
from rrq_protocol.settings.values import INVALID, describe, read_scalar


def _spec(path: str) -> TypeSpec:
    spec = spec_at(tuple(path.split(".")))
    assert spec is not None
    return spec


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86400),
        ("250ms", 0.25),
        ("1h30m", 5400),
        (" 1.5 s ", 1.5),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """Every unit, combinations, fractions and spaces."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "5 parsecs", "-5s", "5s5", "1e3s", "5S"])
def test_no_durations(text: str) -> None:
    """Anything else is no duration; a number alone has no unit."""
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("text", "size"),
    [("10", 10), ("64KiB", 65536), ("512 MiB", 2**29), ("1GB", 10**9), ("1.5kib", 1536), ("7b", 7)],
)
def test_sizes(text: str, size: int) -> None:
    """Binary and decimal units, in either case."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "1TiB", "-1KB", "KiB5", "1 iB"])
def test_no_sizes(text: str) -> None:
    """Anything else is no size."""
    assert parse_size(text) is None


@pytest.mark.parametrize(
    ("path", "value", "result"),
    [
        ("lease_seconds", timedelta(minutes=1), 60),
        ("lease_seconds", "1m", 60),
        ("lease_seconds", 1.5, 1.5),
        ("default_result_ttl_seconds", timedelta(days=1), 86400),
        ("default_result_ttl_seconds", 60.0, 60),
        ("default_queue_name", "rrq:queue:media", "media"),
        ("default_dlq_name", "{t}:dlq:failed", "failed"),
        ("max_payload_bytes", "64KiB", 65536),
        ("redis_dsn", "redis://h", Secret("redis://h")),
    ],
)
def test_accepted(path: str, value: object, result: object) -> None:
    """Values of several forms arrive in the model's own."""
    assert read_scalar(value, _spec(path), text=False) == result


def test_whole_seconds_stay_whole() -> None:
    """A whole duration is stored without a decimal point, as the job record wants it."""
    value = read_scalar(300.0, _spec("default_job_timeout_seconds"), text=False)
    assert repr(value) == "300"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("lease_seconds", True),
        ("lease_seconds", 0),
        ("lease_seconds", math.nan),
        ("lease_seconds", math.inf),
        ("lease_seconds", 1e300),
        ("lease_seconds", 10**400),
        ("lease_seconds", "5"),
        ("default_result_ttl_seconds", 0.5),
        ("default_max_retries", True),
        ("default_max_retries", 2.0),
        ("default_max_retries", 10**40),
        ("default_max_retries", "5"),
        ("job_events", 1),
        ("job_events", "true"),
        ("log_level", "INFO!"),
        ("key_prefix", "a\0b"),
        ("key_prefix", "\ud800"),
        ("default_queue_name", "a:b"),
        ("default_queue_name", "a/b"),
        ("max_payload_bytes", "17MiB"),
        ("redis_dsn", "redis://h\nx"),
        ("redis_dsn", 5),
    ],
)
def test_refused(path: str, value: object) -> None:
    """Wrong types, odd numbers, ranges and unsafe texts."""
    assert read_scalar(value, _spec(path), text=False) is INVALID


@pytest.mark.parametrize(
    ("path", "value", "result"),
    [
        ("job_events", "YES", True),
        ("job_events", "off", False),
        ("default_max_retries", " 7 ", 7),
        ("lease_seconds", "12.5", 12.5),
        ("lease_seconds", "2m", 120),
        ("max_payload_bytes", "1024", 1024),
        ("job_events", "maybe", INVALID),
        ("default_max_retries", "1_000", INVALID),
        ("lease_seconds", "nan", INVALID),
    ],
)
def test_environment_texts(path: str, value: str, result: object) -> None:
    """In the environment everything is text, so numbers and truth values are read from it."""
    assert read_scalar(value, _spec(path), text=True) == result


def test_describe_hides_secrets() -> None:
    """What came is shown with its type, cut and escaped; what may be secret is not shown."""
    assert describe(0) == "0"
    assert describe("four") == "str 'four'"
    assert describe("\x1b[2J") == "str '\\x1b[2J'"
    assert len(describe("x" * 5000)) < 100
    assert describe([1]) == "a list"
    assert describe({}) == "a table"
    assert describe(10**5000) == "a large int"
    assert "hunter2" not in describe("hunter2", _spec("redis_dsn"))
    assert "1234" not in describe(1234, _spec("runners.python.env.PIN"))
    assert "hunter2" not in describe("PASSWORD=hunter2", _spec("runners.python.env"))
    assert "hunter2" not in describe(f"redis://u:{'hunter2' * 20}@h", _spec("key_prefix"))
    assert describe("work --token hunter2", _spec("runners.python.cmd")) == "a text"
    assert "not printable" in describe("redis://h\nx", _spec("redis_dsn"))


@given(st.text(max_size=20))
def test_texts_never_raise(text: str) -> None:
    """Any text is a duration or size, or is not; a duration is never negative and always finite."""
    seconds, size = parse_duration(text), parse_size(text)
    assert seconds is None or 0 <= seconds < math.inf
    assert size is None or size >= 0


@given(st.integers(min_value=0, max_value=10**9))
def test_duration_round_trip(seconds: int) -> None:
    """Hours, minutes and seconds add up."""
    text = f"{seconds // 3600}h{seconds % 3600 // 60}m{seconds % 60}s"
    assert parse_duration(text) == seconds
