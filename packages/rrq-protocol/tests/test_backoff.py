"""Delays between attempts: exponential, capped, spread, and never outside their bounds."""

from bisect import bisect_right
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrq_protocol.backoff import RetryPolicy, delay_s

SECONDS = st.floats(0, 1e300, allow_nan=False)


class FixedRandom(Random):
    """Always draws the same number."""

    def __init__(self, value: float) -> None:
        super().__init__(0)
        self.value = value

    def random(self) -> float:
        """Return the fixed number."""
        return self.value


@pytest.mark.parametrize(
    ("attempt", "bound"), [(1, 5.0), (2, 10.0), (3, 20.0), (10, 2560.0), (11, 3600.0), (10**9, 3600.0)]
)
def test_the_bound_doubles_up_to_the_cap(attempt: int, bound: float) -> None:
    """The default policy starts at 5 s, doubles, and stops at an hour; the draw spreads 0 to all of it."""
    assert delay_s(attempt, RetryPolicy(), FixedRandom(0.0)) == 0.0
    assert delay_s(attempt, RetryPolicy(), FixedRandom(0.5)) == bound / 2
    assert bound * 0.999 < delay_s(attempt, RetryPolicy(), FixedRandom(0.99999)) < bound


@given(st.integers(1, 10**12), SECONDS, SECONDS, st.integers())
def test_a_delay_is_within_its_bounds(attempt: int, base_s: float, cap_s: float, seed: int) -> None:
    """For any attempt and policy the delay is between 0 and the bound, and never over the cap."""
    bound = min(cap_s, base_s * 2.0 ** min(attempt - 1, 1000))
    delay = delay_s(attempt, RetryPolicy(base_s, cap_s), Random(seed))
    assert 0 <= delay <= bound <= cap_s


def test_the_same_seed_gives_the_same_delays() -> None:
    """The injected source is the only one of chance."""
    first, second = ([delay_s(n, RetryPolicy(), Random(7)) for n in range(1, 20)] for _ in range(2))
    assert first == second


def test_a_herd_that_failed_at_once_comes_back_spread() -> None:
    """Of 10,000 jobs that fail at the same instant, no more than a twentieth is due within any hundredth of
    the time until the last one (F57)."""
    random, policy = Random(57), RetryPolicy()
    due = sorted(delay_s(1, policy, random) for _ in range(10_000))
    within_s = policy.base_s / 100
    assert max(bisect_right(due, at + within_s) - place for place, at in enumerate(due)) <= 500


def test_no_base_means_no_delay() -> None:
    """A base of 0 retries at once, also after many attempts."""
    assert {delay_s(n, RetryPolicy(base_s=0), Random(1)) for n in (1, 5, 5000)} == {0.0}


@pytest.mark.parametrize("attempt", [0, -1])
def test_attempts_are_counted_from_one(attempt: int) -> None:
    """An attempt below 1 is a caller's mistake."""
    with pytest.raises(ValueError, match="counted from 1"):
        delay_s(attempt, RetryPolicy(), Random(1))


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["base_s", "cap_s"])
def test_impossible_bounds_are_refused(name: str, value: float) -> None:
    """A negative, infinite or undefined bound is refused by name."""
    with pytest.raises(ValueError, match=f"^{name}: expected a finite number of seconds >= 0"):
        RetryPolicy(**{name: value})
