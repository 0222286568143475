"""The attempts log stays readable and bounded."""

from typing import Any

import pytest

from rrq_orchestrator.attempts import Attempt
from rrq_orchestrator.decision import Decision
from rrq_orchestrator.history import appended, bounded, given_back, traceback_of, unanswered_claim
from rrq_protocol import ExecutionError, read_attempts
from rrq_protocol.transitions import SettleKind
from support.orchestrating import claimed

RETRY = Decision(SettleKind.RETRY, "ValueError: boom", "ValueError", delay_ms=1500, outcome="retry")


def attempt(log: bytes | None = None, retries: int = 0) -> Attempt:
    job = claimed(attempts_log=log, current_retries=retries)
    attempt = Attempt(job, "o1", "python", "work", 300.0)
    attempt.start(0.0, 1_000)
    return attempt


def test_an_entry_tells_what_happened_where_and_when() -> None:
    """`rrq job trace` is drawn from this."""
    (entry,) = read_attempts(appended(attempt(), RETRY, "Traceback …", 1_250))
    assert (entry.attempt, entry.outcome, entry.message, entry.type) == (
        1,
        "retry",
        "ValueError: boom",
        "ValueError",
    )
    assert (entry.started_at_ms, entry.ended_at_ms, entry.retry_at_ms) == (1_000, 1_250, 2_750)
    assert (entry.worker, entry.runner, entry.claim_seq, entry.traceback) == (
        "o1",
        "python",
        1,
        "Traceback …",
    )


def test_the_oldest_entries_go_first() -> None:
    """A job with a thousand attempts keeps the last twenty."""
    log: bytes | None = None
    for n in range(30):
        log = appended(attempt(log, n), RETRY, None, 1_250)
    entries = read_attempts(log)
    assert [entry.attempt for entry in entries] == list(range(11, 31))


def test_an_unreadable_log_is_started_anew() -> None:
    """A log mangled by hand decides nothing and stops nothing."""
    assert len(read_attempts(appended(attempt(b"{not json"), RETRY, None, 1))) == 1


def test_a_start_that_is_given_back_is_told_of() -> None:
    """When, by whom, from which runner, and why, in few words; it counts as the attempt that comes next."""
    (entry,) = read_attempts(b"[" + given_back(attempt(retries=1), "drained " + "x" * 500, 1_250) + b"]")
    assert (entry.attempt, entry.outcome, entry.claim_seq) == (2, "released", 1)
    assert (entry.started_at_ms, entry.ended_at_ms) == (1_000, 1_250)
    assert (entry.worker, entry.runner, entry.retry_at_ms) == ("o1", "python", None)
    assert entry.message.startswith("drained x")
    assert len(entry.message) < 300
    waiting = attempt()
    waiting.wait()
    (entry,) = read_attempts(b"[" + given_back(waiting, "drained", 1_250) + b"]")
    assert entry.started_at_ms is None


def test_a_claim_without_an_answer_is_told_of_whatever_the_record_says() -> None:
    """A count that a stranger has written stops nothing."""
    for retries, number in ((b"2", 3), (None, 1), (b"", 1), (b"-4", 1), (b"x\xff", 1), (b"9" * 5000, 1)):
        (entry,) = read_attempts(b"[" + unanswered_claim("o1", retries, 7, 5) + b"]")
        assert (entry.attempt, entry.claim_seq, entry.started_at_ms) == (number, 7, None)


def test_long_texts_are_cut_in_the_middle() -> None:
    """Both the beginning and the end of an error tell something."""
    text = bounded("a" * 5000 + "z" * 5000, 100)
    assert text.startswith("a" * 50)
    assert text.endswith("z" * 50)
    assert "9900 characters left out" in text
    assert bounded("short", 100) == "short"


@pytest.mark.parametrize("details", [None, {}, {"traceback": 3}, {"traceback": "File x"}])
def test_a_traceback_is_a_text_or_none(details: dict[str, Any] | None) -> None:
    """Runners may send anything as details."""
    expected = "File x" if details == {"traceback": "File x"} else None
    assert traceback_of(ExecutionError(message="m", details=details)) == expected
    assert traceback_of(None) is None
