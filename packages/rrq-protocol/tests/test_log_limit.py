"""What happens any number of times is told now and then, with a count."""

import random

import pytest

from rrq_protocol import LogLimit


def test_the_first_is_told_and_then_one_in_so_many_seconds() -> None:
    """Each that is told says how many were not."""
    limit = LogLimit(10)
    told = {second: limit.take(second) for second in range(100, 132)}
    assert {second: count for second, count in told.items() if count is not None} == {
        100: 0, 110: 9, 120: 9, 130: 9,
    }  # fmt: skip


def test_several_may_be_told_at_once() -> None:
    """Before the pauses begin, and again after quiet: as many as the quiet was long."""
    limit = LogLimit(10, at_once=3)
    assert [limit.take(5) for _ in range(5)] == [0, 0, 0, None, None]
    assert [limit.take(15) for _ in range(2)] == [2, None]
    assert [limit.take(36) for _ in range(3)] == [1, 0, None]
    assert [limit.take(1000) for _ in range(4)] == [1, 0, 0, None]


def test_it_says_when_the_next_may_be_told() -> None:
    """At that time it may, and before it may not."""
    limit = LogLimit(10, at_once=2)
    assert limit.due_in_s(0) == 0
    limit.take(0)
    assert limit.due_in_s(0) == 0
    limit.take(1)
    assert limit.due_in_s(1) == 9
    assert limit.take(9.5) is None
    assert limit.due_in_s(10) == 0
    assert limit.take(10) == 1


@pytest.mark.parametrize("seed", range(20))
def test_every_event_is_told_or_counted(seed: int) -> None:
    """And no stretch of time has more than its share of them."""
    choose, at_once = random.Random(seed), random.Random(seed).randint(1, 4)
    limit, now_s, told, counted, events = LogLimit(2.0, at_once), 50.0, [], 0, 2000
    for _ in range(events):
        now_s += choose.expovariate(2.0)
        if (untold := limit.take(now_s)) is not None:
            told.append(now_s)
            counted += 1 + untold
    last = limit.take(now_s + 1000)
    assert last is not None
    assert counted + last == events, seed
    for first, later in zip(told, told[at_once:], strict=False):
        assert later - first >= 2.0 - 1e-9, seed
