"""What is judged: plain values."""

import pytest

from rrq_orchestrator.audit.facts import JobFacts, queue_named, whole
from rrq_protocol.transitions import Evidence


@pytest.mark.parametrize(
    ("named", "queue"),
    [
        ("rrq:queue:mail", "mail"), ("mail", "mail"), ("rrq:queue:", None), ("", None),
        ("rrq:job:x", None), ("other:queue:mail", None), ("rrq:queue:default", "default"),
    ],
)  # fmt: skip
def test_the_queue_a_record_names(named: str, queue: str | None) -> None:
    """A full key of ours or a bare name; any other key is none, as the scripts have it."""
    assert queue_named(named, "rrq") == queue


def test_evidence_is_what_the_record_says() -> None:
    """Fields that are missing are empty."""
    assert JobFacts("j", {"status": "ACTIVE", "claim_seq": "2"}).evidence == Evidence("ACTIVE", "", "2")


@pytest.mark.parametrize("text", ["", "-1", "1.0", " 1", "²", "٣", "9" * 16, "9" * 4301, "x"])
def test_what_is_no_number_is_none(text: str) -> None:
    """Other scripts' digits and more of them than any count has are none, and no exception."""
    assert whole(text) is None
    assert whole("9" * 15) == 10**15 - 1
    assert whole("9" * 16, 19) == 10**16 - 1
