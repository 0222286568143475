"""Reading where a job stands, and what a waiter knows."""

import pytest

from rrq_producer.errors import JobNotFound, ResultExpired
from rrq_producer.results import Waiting, read_status
from rrq_protocol import JobResult, JobStatus, MalformedRecord

RECORD = [b"a", b"f", b"2024-01-01T00:00:00Z", b"COMPLETED", b'{"ok":true}', None, b"1"]


def test_a_record_is_read() -> None:
    """Status, result, last error and attempts come from the record; no record is None."""
    assert read_status(RECORD) == JobResult("a", JobStatus.COMPLETED, {"ok": True}, None, 2)
    assert read_status([None] * 7) is None


@pytest.mark.parametrize(
    ("place", "value"), [(0, None), (2, b"yesterday"), (3, b"DONE"), (4, b"{"), (6, b"-1")]
)
def test_a_mangled_record_is_an_error(place: int, value: bytes | None) -> None:
    """A record that cannot be understood is told as such, never guessed at (F83)."""
    with pytest.raises(MalformedRecord):
        read_status([*RECORD[:place], value, *RECORD[place + 1 :]])


def test_a_waiter_ends_with_the_job() -> None:
    """Only terminal states end a wait, every one of them does."""
    for status in JobStatus:
        result = JobResult("a", status)
        assert Waiting("a").observe(result) is (result if status.is_terminal else None)


def test_a_missing_record_is_told_by_what_was_known() -> None:
    """A job never seen is unknown; one that was seen, or whose end was announced, has expired."""
    with pytest.raises(JobNotFound) as unknown:
        Waiting("a").observe(None)
    assert not isinstance(unknown.value, ResultExpired)
    seen = Waiting("a")
    seen.observe(JobResult("a", JobStatus.ACTIVE))
    with pytest.raises(ResultExpired, match="was removed or ended"):
        seen.observe(None)
    announced = Waiting("a")
    announced.announced(b"COMPLETED")
    with pytest.raises(ResultExpired, match="ended as COMPLETED"):
        announced.observe(None)
    assert "ACTIVE" in str(seen.timed_out(3))


def test_a_waiter_looks_often_at_first() -> None:
    """Without announcements, as under an orchestrator of the public line, the pauses start short and double
    up to the longest. The very first ends with the subscription.
    """
    waiting = Waiting("a")
    assert [waiting.pause_s() for _ in range(8)] == [5.0, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
