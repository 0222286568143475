"""Errors carry facts, and durations are checked where they are given."""

from datetime import timedelta

import pytest

from rrq_protocol import RRQError
from rrq_runner.errors import InvalidParams, LoadError, RegistrationError, RetryJob, StartupError, seconds


@pytest.mark.parametrize(
    ("given", "expected"),
    [(5, 5.0), (0.5, 0.5), (timedelta(minutes=1), 60.0), (0, 0.0), (-5, 0.0), (timedelta(days=-1), 0.0)],
)
def test_durations_are_seconds_or_timedeltas(given: float | timedelta, expected: float) -> None:
    """A retry's delay may be given either way, and is kept in seconds; one that is over by now is none."""
    assert RetryJob("later", given).defer_seconds == expected


@pytest.mark.parametrize("given", [float("nan"), float("inf"), float("-inf")])
def test_impossible_durations_are_refused(given: float) -> None:
    """A delay nobody can wait is a mistake of the handler, named with the value."""
    with pytest.raises(ValueError, match="defer_seconds: expected a finite number"):
        RetryJob("later", given)


@pytest.mark.parametrize("given", ["5", True, None])
def test_other_types_are_no_durations(given: object) -> None:
    """Texts and booleans are not taken for seconds."""
    with pytest.raises(TypeError, match="expected seconds or a timedelta"):
        seconds("timeout", given)  # type: ignore[arg-type] # what an untyped program may do


def test_a_retry_without_delay_leaves_it_to_the_policy() -> None:
    """No delay is not a delay of zero."""
    retry = RetryJob()
    assert (retry.message, retry.defer_seconds) == ("", None)


def test_all_errors_are_in_one_tree() -> None:
    """Whoever catches RRQError catches every error of this wheel, and the texts name their subject."""
    errors = [
        RegistrationError("h", "why"),
        InvalidParams("a.b", "why"),
        LoadError("m:a", "why"),
        StartupError("why"),
    ]
    assert all(isinstance(each, RRQError) for each in errors)
    assert [str(each) for each in errors] == ["handler 'h': why", "a.b: why", "--settings m:a: why", "why"]
