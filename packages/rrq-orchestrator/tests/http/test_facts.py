"""What is known at one moment."""

import pytest

from rrq_orchestrator.http.facts import Facts


def test_facts_are_values_and_sizes_unknown_until_told() -> None:
    """Nobody changes them on the way to two answers; an unknown size is not zero."""
    facts = Facts(version="1")
    assert (facts.queues, facts.dead_letters) == (None, None)
    with pytest.raises(AttributeError):
        facts.outbox = 1  # type: ignore[misc]  # that it cannot be done is what is tested
