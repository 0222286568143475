"""The table of attempts."""

from rrq_orchestrator.attempts import Attempt, AttemptTable
from support.orchestrating import claimed


def attempt(job_id: str, deadline_s: float) -> Attempt:
    attempt = Attempt(claimed(job_id), "o1", "python", "work", deadline_s)
    attempt.start(0.0, 0)
    return attempt


def test_attempts_are_found_by_request_and_by_job_and_leave_once() -> None:
    """A second answer to the same request finds nothing."""
    table = AttemptTable()
    first = attempt("a", 5.0)
    table.add(first)
    table.add(attempt("b", 3.0))
    assert table.get("a.1") is first
    assert table.of_job("a") == [first]
    assert table.pop("a.1") is first
    assert table.pop("a.1") is None
    assert len(table) == 1


def test_a_warning_is_for_one_attempt_and_counts_once() -> None:
    """So many are kept, the newest."""
    table = AttemptTable()
    for number in range(10_001):
        table.forewarn(f"job.{number}")
    assert not table.is_unwanted("job.0")
    assert table.is_unwanted("job.1")
    assert not table.is_unwanted("job.1")
    assert not table.is_unwanted("other.1")


def test_deadlines() -> None:
    """The earliest deadline is what the timer is set to; an empty table has none."""
    table = AttemptTable()
    assert table.next_deadline_s() == float("inf")
    table.add(attempt("a", 5.0))
    table.add(attempt("b", 3.0))
    assert table.next_deadline_s() == 3.0
    assert [each.job.id for each in table.expired(3.0)] == ["b"]
