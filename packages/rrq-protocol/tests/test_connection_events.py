"""Events of a connection are plain values."""

import pytest

from rrq_protocol import connection_events as events
from rrq_protocol.messages import CancelRequest, ErrorType

EXAMPLES = [
    events.StrayResponse("r1", "j1"),
    events.BadMessage("no type"),
    events.CancelRequested(CancelRequest(job_id="j1"), ("r1",)),
    events.Rejected(b"", "busy", ErrorType.BUSY),
]


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_events_compare_by_value_and_cannot_be_changed(event: object) -> None:
    """Two events of the same content are equal; none can be changed after the fact."""
    assert event == type(event)(*(getattr(event, name) for name in event.__struct_fields__))  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        setattr(event, event.__struct_fields__[0], None)  # type: ignore[attr-defined]


def test_ids_are_optional_where_a_message_may_have_lost_them() -> None:
    """A message that cannot be read has no ids to report."""
    assert (events.BadMessage("x").request_id, events.BadMessage("x").job_id) == (None, None)
    assert events.BadMessage("x").beginning == b""
