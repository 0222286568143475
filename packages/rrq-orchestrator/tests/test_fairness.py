"""Sharing free capacity between queues."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from rrq_orchestrator.fairness import shares

WEIGHTS = st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 9), min_size=1, max_size=6)


def test_one_queue_gets_everything() -> None:
    """There is nothing to share."""
    assert shares({"a": 3}, 10, 1, strict=False) == [("a", 10)]


def test_shares_follow_the_weights_and_the_rest_is_for_whoever_has_jobs() -> None:
    """Six to three to one of ten slots; then each queue is asked for what may be left."""
    asked = shares({"a": 6, "b": 3, "c": 1}, 10, 0, strict=False)
    assert asked[:3] == [("a", 6), ("b", 3), ("c", 1)]
    assert sorted(asked[3:]) == [("a", 10), ("b", 10), ("c", 10)]


def test_a_single_slot_goes_round_by_weight() -> None:
    """Over ten claims of one slot each queue is first as often as its weight says."""
    first = Counter(shares({"a": 6, "b": 3, "c": 1}, 1, turn, strict=False)[0][0] for turn in range(10))
    assert first == {"a": 6, "b": 3, "c": 1}


def test_strict_order_asks_the_heaviest_first_for_everything() -> None:
    """A lower queue only gets what the higher ones leave."""
    assert shares({"low": 1, "high": 9}, 4, 3, strict=True) == [("high", 4), ("low", 4)]


@given(WEIGHTS, st.integers(1, 500), st.integers(0, 1000), st.booleans())
def test_every_queue_is_asked_and_no_capacity_is_withheld(
    weights: dict[str, int], free: int, turn: int, strict: bool
) -> None:
    """Each queue is asked at least once for something, and once for all that is free."""
    asked = shares(weights, free, turn, strict=strict)
    assert {queue for queue, _ in asked} == set(weights)
    assert all(1 <= wanted <= free for _, wanted in asked)
    assert {queue for queue, wanted in asked if wanted == free} == set(weights)
