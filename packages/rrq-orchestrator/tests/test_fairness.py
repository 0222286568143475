"""Sharing free capacity between queues."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from rrq_orchestrator.fairness import shares

WEIGHTS = st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 9), min_size=1, max_size=6)


def dealt(weights: dict[str, int], free: int, claims: int) -> Counter[str]:
    """Return how many jobs each queue was asked for over so many claims."""
    total: Counter[str] = Counter()
    turn = 0
    for _ in range(claims):
        asked, turn = shares(weights, free, turn, strict=False)
        total.update(dict(asked))
    return total


def test_one_queue_gets_everything() -> None:
    """There is nothing to share."""
    assert shares({"a": 3}, 10, 1, strict=False)[0] == [("a", 10)]


def test_a_single_slot_goes_round_by_weight() -> None:
    """Over ten claims of one slot each queue is asked as often as its weight says."""
    assert dealt({"a": 6, "b": 3, "c": 1}, 1, 10) == {"a": 6, "b": 3, "c": 1}


def test_large_claims_are_shared_by_weight_too() -> None:
    """Eighty slots at a time: ten chunks, dealt six to three to one."""
    assert dealt({"a": 6, "b": 3, "c": 1}, 80, 1) == {"a": 48, "b": 24, "c": 8}


def test_a_claim_asks_few_queues_however_many_there_are() -> None:
    """Fifty queues with jobs cost a claim no more than the jobs it takes; all have their turn soon."""
    weights = {f"q{n}": 1 for n in range(50)}
    asked, _ = shares(weights, 64, 0, strict=False)
    assert len(asked) == 8
    assert set(dealt(weights, 64, 7)) == set(weights)


def test_strict_order_asks_the_heaviest_first_for_everything() -> None:
    """A lower queue only gets what the higher ones leave."""
    assert shares({"low": 1, "high": 9}, 4, 3, strict=True)[0] == [("high", 4), ("low", 4)]


@given(WEIGHTS, st.integers(1, 500), st.integers(0, 1000))
def test_all_that_is_free_is_asked_for_and_no_more(weights: dict[str, int], free: int, turn: int) -> None:
    """A claim never takes more jobs than there are slots, and never withholds one."""
    asked, _ = shares(weights, free, turn, strict=False)
    assert sum(wanted for _, wanted in asked) == free
    assert all(wanted >= 1 for _, wanted in asked)


@given(WEIGHTS, st.integers(1, 100))
def test_over_a_whole_cycle_every_queue_gets_exactly_its_share(weights: dict[str, int], free: int) -> None:
    """Fairness does not depend on the size of the claims."""
    total = dealt(weights, free, sum(weights.values()))
    each = Counter({queue: free * weight for queue, weight in weights.items()})
    chunk = -(-free // max(1, free // 8))
    assert all(abs(total[queue] - each[queue]) <= chunk * max(1, free // 8) for queue in weights)
