"""The table of a slot's life is whole: every state is left, every wrong event is refused."""

from typing import get_args

import pytest

from rrq_orchestrator.runners.states import SLOT, SlotEvent, SlotState, next_state


def test_every_state_is_reached_and_can_be_stopped() -> None:
    """From `stopped` every state can be reached, and each can be stopped."""
    reached: set[SlotState] = {"stopped"}
    for _ in SLOT:
        reached |= {after for (before, _event), after in SLOT.items() if before in reached}
    assert reached == set(get_args(SlotState))
    assert {before for before, event in SLOT if event == "stop"} == reached


def test_every_event_is_used() -> None:
    """No event is left over in the type."""
    assert {event for _, event in SLOT} == set(get_args(SlotEvent))


@pytest.mark.parametrize("state", get_args(SlotState))
def test_what_is_not_in_the_table_is_refused(state: SlotState) -> None:
    """A pair outside the table is the caller's mistake, and says which."""
    for event in get_args(SlotEvent):
        if (state, event) in SLOT:
            assert next_state(state, event) == SLOT[state, event]
        else:
            with pytest.raises(ValueError, match=f"{state}.*{event}"):
                next_state(state, event)
