"""What a job's log of failed attempts says of those that were lost with their orchestrator (T7, T8)."""

import msgspec
import pytest

from rrq_protocol import AttemptEntry, read_attempts
from support.transitions import Transitions


def _lose(t: Transitions, name: str = "a", **policy: int) -> None:
    """Let an orchestrator claim what is due and die."""
    t.register(name)
    t.claim(name)
    t.now_ms += 500
    t.fence(name)
    t.recover(name, **policy)


def _log(t: Transitions, job_id: str = "j") -> tuple[AttemptEntry, ...]:
    return read_attempts(t.record(job_id).get("attempts_log"))


def _entries(count: int, size: int = 10) -> bytes:
    # Texts with the marks that stand between entries.
    text = ',{"attempt":1}]' + "x" * size
    return msgspec.json.encode([AttemptEntry(number, "retry", text, worker="w") for number in range(count)])


def test_an_attempt_lost_with_its_orchestrator_is_told_of(t: Transitions) -> None:
    """The log says when it began, when it was found lost, with whom, and when the job is due again."""
    t.add("j")
    start = t.now_ms
    _lose(t)
    (entry,) = _log(t)
    assert entry == AttemptEntry(
        attempt=1,
        outcome="crash",
        message="its orchestrator died",
        type="crash",
        started_at_ms=start,
        ended_at_ms=start + 500,
        retry_at_ms=int(t.due_ms("j") or 0),
        worker="a",
        claim_seq=1,
    )
    t.now_ms += 60_000
    _lose(t, "b", max_crashes=5, crash_delay_ms=1000)
    assert [(each.worker, each.claim_seq, each.attempt) for each in _log(t)] == [("a", 1, 1), ("b", 2, 1)]
    assert _log(t)[1].retry_at_ms == t.due_ms("j") == t.now_ms + 1000


def test_the_last_one_says_why_there_is_no_other(t: Transitions) -> None:
    """The attempt that dead-letters its job has the reason of the dead letter, and no time of a next one."""
    t.add("j")
    _lose(t, max_crashes=1)
    (entry,) = _log(t)
    assert (
        entry.message == t.record("j")["last_error"] == "orchestrator crashed 1 times while running this job"
    )
    assert (entry.outcome, entry.retry_at_ms) == ("crash", None)


@pytest.mark.parametrize(("before", "kept"), [(1, 1), (18, 18), (19, 19), (20, 19), (33, 19)])
def test_the_log_keeps_its_latest_entries(t: Transitions, before: int, kept: int) -> None:
    """What was there stays as it was; beyond twenty entries the oldest ones go."""
    t.add("j")
    t.client.hset(t.keyspace.job("j"), "attempts_log", _entries(before))
    _lose(t)
    log = _log(t)
    assert log[:-1] == read_attempts(_entries(before))[-kept:]
    assert (log[-1].worker, len(log)) == ("a", kept + 1)


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", "[1]", '[{"attempt":', '{"attempt":1}', "\xff"])
def test_what_is_no_log_starts_anew(t: Transitions, text: str) -> None:
    """It decided nothing before, and holds up no recovery."""
    t.add("j")
    t.client.hset(t.keyspace.job("j"), "attempts_log", text.encode("latin-1"))
    _lose(t)
    assert [entry.worker for entry in _log(t)] == ["a"]


@pytest.mark.parametrize(("count", "size", "kept"), [(10, 10_000, 10), (10, 50_000, 5), (1, 500_000, 0)])
def test_of_a_very_large_log_the_latest_is_kept(t: Transitions, count: int, size: int, kept: int) -> None:
    """A recovery copies no megabytes, and the attempt that was lost is told of whatever was told before."""
    t.add("j")
    t.client.hset(t.keyspace.job("j"), "attempts_log", _entries(count, size))
    _lose(t)
    log = _log(t)
    assert [entry.attempt for entry in log[:-1]] == list(range(count))[count - kept :]
    assert (log[-1].worker, log[-1].type) == ("a", "crash")


@pytest.mark.parametrize("retries", ["x", "1e300", "-7", '1,"worker":"b"'])
@pytest.mark.parametrize("name", ['o"', "o\\", "o\n", "ö"])
def test_odd_fields_and_names_leave_a_log_that_can_be_read(
    damaged: Transitions, retries: str, name: str
) -> None:
    """A stranger's retry count and an orchestrator's name that is none cannot break the JSON."""
    damaged.add("j")
    damaged.register(name)
    damaged.claim(name)
    damaged.client.hset(damaged.keyspace.job("j"), "current_retries", retries)
    damaged.client.zadd(
        damaged.keyspace.active(name), {"j": 1_700_000_000}
    )  # in s, as the public line has it
    damaged.fence(name)
    damaged.recover(name)
    (entry,) = read_attempts(damaged.record("j")["attempts_log"])
    assert (entry.worker, entry.started_at_ms, entry.claim_seq) == (None, None, 1)
