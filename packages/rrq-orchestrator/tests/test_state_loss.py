"""Whether Redis lost the state, from what two registrations learned."""

import pytest

from rrq_orchestrator.state_loss import state_loss
from rrq_protocol.transitions import Registered

BEFORE = Registered(1, "first", 7)


@pytest.mark.parametrize("now", [Registered(2, "first", 8), Registered(2, "", 0)])
def test_a_fence_is_no_loss(now: Registered) -> None:
    """The same key space, further on; nor is it one where that cannot be told."""
    assert state_loss(BEFORE, now) is None


@pytest.mark.parametrize("before", [None, Registered(1, "", 0)])
def test_without_an_earlier_registration_nothing_is_known(before: Registered | None) -> None:
    """A key space that is new to this process was not lost."""
    assert state_loss(before, Registered(2, "me", 1)) is None


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (Registered(2, "me", 1), "came back empty"),
        (Registered(2, "other", 9), "came back empty"),
        (Registered(2, "first", 7), "older state"),
        (Registered(2, "first", 3), "older state"),
    ],
)
def test_another_beginning_or_fewer_registrations_are_a_loss(now: Registered, words: str) -> None:
    """An empty server has another first one; a backup has not seen as many (F27, F28)."""
    assert words in (state_loss(BEFORE, now) or "")
