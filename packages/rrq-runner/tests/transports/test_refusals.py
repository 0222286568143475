"""Who was sent away is told now and then."""

import logging

import pytest

from rrq_protocol import ManualClock
from rrq_runner.transports.refusals import Refusals


def test_however_many_come_one_is_told_in_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    """The first at once; each says why, and how many came since the one before."""
    clock = ManualClock()
    refusals = Refusals(clock)
    with caplog.at_level(logging.WARNING, "rrq_runner"):
        for number in range(200):
            refusals.tell(f"stranger {number}")
            clock.advance(0.125)
    told = [
        (record.message, record.__dict__["problem"], record.__dict__["untold"]) for record in caplog.records
    ]
    assert told == [
        ("runner.peer_refused", "stranger 0", 0),
        ("runner.peer_refused", "stranger 80", 79),
        ("runner.peer_refused", "stranger 160", 79),
    ]
