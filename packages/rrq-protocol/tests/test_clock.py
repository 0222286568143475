"""Clocks: wall time in milliseconds, durations in monotonic seconds, both under a test's control."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrq_protocol.clock import Clock, ManualClock, SystemClock


def test_the_system_clock_reads_this_machine() -> None:
    """Wall time is epoch milliseconds; monotonic time never goes back."""
    clock: Clock = SystemClock()
    before = time.time()
    assert before * 1000 - 1 <= clock.now_ms() <= time.time() * 1000 + 1
    first = clock.monotonic()
    assert clock.monotonic() >= first
    assert isinstance(clock.now_ms(), int)


def test_a_manual_clock_stands_still() -> None:
    """Without being told, no time passes."""
    clock: Clock = ManualClock(now_ms=5, monotonic=2.0)
    assert [clock.now_ms(), clock.now_ms()] == [5, 5]
    assert [clock.monotonic(), clock.monotonic()] == [2.0, 2.0]


def test_advancing_moves_both_clocks() -> None:
    """Passing time is seen by both clocks."""
    clock = ManualClock(now_ms=1000, monotonic=10.0)
    clock.advance(1.5)
    assert (clock.now_ms(), clock.monotonic()) == (2500, 11.5)


def test_a_jump_moves_the_wall_clock_only() -> None:
    """A stepped wall clock does not change what durations are measured with."""
    clock = ManualClock(now_ms=1000, monotonic=10.0)
    clock.jump(-0.75)
    assert (clock.now_ms(), clock.monotonic()) == (250, 10.0)


@pytest.mark.parametrize("seconds", [-0.001, float("nan")])
def test_time_does_not_run_backwards(seconds: float) -> None:
    """Going back in time is refused; a jump is the way to move the wall clock back."""
    with pytest.raises(ValueError, match="jump"):
        ManualClock().advance(seconds)


@given(st.lists(st.integers(0, 10_000), max_size=50))
def test_small_steps_add_up(steps_ms: list[int]) -> None:
    """Many small steps end where one large step does, without drift."""
    clock = ManualClock(now_ms=0)
    for step in steps_ms:
        clock.advance(step / 1000)
    assert clock.now_ms() == sum(steps_ms)
