"""A record is told as a story, from enqueueing to what comes next."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import to_builtins

from rrq_cli.timeline import trace_of
from rrq_protocol import AttemptEntry, JobRecord, JobStatus, Keyspace

START = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = Keyspace()


def at(seconds: float) -> datetime:
    """Return an instant so long after the start."""
    return START + timedelta(seconds=seconds)


def ms(seconds: float) -> int:
    """Return the same in epoch ms."""
    return round(at(seconds).timestamp() * 1000)


def record(status: JobStatus, **more: Any) -> JobRecord:
    """Return a record that was enqueued at the start."""
    base = {
        "id": "j",
        "function_name": "f",
        "params": "{}",
        "enqueue_time": START,
        "queue_name": KEYS.queue("q"),
    }
    return JobRecord(**{**base, **more}, status=status)


def failure(number: int, outcome: str, began: float, ended: float, **more: Any) -> AttemptEntry:
    """Return an entry of the log of failed attempts."""
    return AttemptEntry(
        number, outcome, f"boom {number}", started_at_ms=ms(began), ended_at_ms=ms(ended), **more
    )


def test_a_pending_job_waits_for_its_time() -> None:
    """A deferred job was enqueued, has a first due time, and a next run."""
    trace = trace_of(record(JobStatus.PENDING, next_scheduled_run_time=at(60)), KEYS)
    assert [(e.what, e.at) for e in trace.events] == [
        ("enqueued", START),
        ("due", at(60)),
        ("next_run", at(60)),
    ]
    assert (trace.queue_name, trace.waited_seconds, trace.ran_seconds) == ("q", None, None)


def test_a_completed_job_shows_wait_and_run() -> None:
    """The only attempt has its queue wait and its run time."""
    trace = trace_of(
        record(JobStatus.COMPLETED, start_time=at(2), completion_time=at(5), worker_id="w", runner="r"), KEYS
    )
    assert [e.what for e in trace.events] == ["enqueued", "started", "completed"]
    assert (trace.waited_seconds, trace.ran_seconds) == (2, 3)
    assert (trace.events[1].worker, trace.events[1].runner) == ("w", "r")


def test_each_failed_attempt_is_told() -> None:
    """Retries show their errors, waits count from the time due, and the last attempt is the record's."""
    log = (
        failure(1, "retry", 1, 2, retry_at_ms=ms(10), claim_seq=1, type="ValueError"),
        failure(2, "timeout", 11, 13, retry_at_ms=ms(20), claim_seq=2),
    )
    trace = trace_of(
        record(
            JobStatus.COMPLETED,
            attempts=log,
            claim_seq=3,
            start_time=at(21),
            completion_time=at(22),
            current_retries=2,
        ),
        KEYS,
    )
    assert [(e.what, e.attempt) for e in trace.events] == [
        ("enqueued", None),
        ("started", 1),
        ("retry", 1),
        ("started", 2),
        ("timeout", 2),
        ("started", 3),
        ("completed", 3),
    ]
    assert [e.wait_seconds for e in trace.events if e.what == "started"] == [1, 1, 1]
    assert (trace.events[2].error, trace.events[2].error_type) == ("boom 1", "ValueError")
    assert trace.ran_seconds == 4
    backoffs = [e.backoff_seconds for e in trace.events if e.what in ("retry", "timeout")]
    assert backoffs == [8, 7]


def test_the_last_failure_is_told_once() -> None:
    """A dead letter whose last attempt is in the log does not show it a second time."""
    log = (failure(1, "failed", 1, 2, claim_seq=1),)
    dead = record(
        JobStatus.FAILED,
        attempts=log,
        claim_seq=1,
        start_time=at(1),
        completion_time=at(2),
        last_error="boom 1",
    )
    assert [e.what for e in trace_of(dead, KEYS).events] == ["enqueued", "started", "failed"]


def test_a_failure_outside_the_log_is_told_from_the_record() -> None:
    """A dead letter without a log, as other implementations leave it, shows its error and times."""
    dead = record(JobStatus.FAILED, start_time=at(1), completion_time=at(2), last_error="boom")
    events = trace_of(dead, KEYS).events
    assert [(e.what, e.error) for e in events] == [("enqueued", None), ("started", None), ("failed", "boom")]


def test_a_retrying_job_has_an_outlook() -> None:
    """After a failure, the next run and which attempt it is are told."""
    log = (failure(1, "retry", 1, 2, retry_at_ms=ms(9), claim_seq=1),)
    waiting = record(
        JobStatus.RETRYING,
        attempts=log,
        claim_seq=1,
        current_retries=1,
        start_time=at(1),
        next_scheduled_run_time=at(9),
    )
    last = trace_of(waiting, KEYS).events[-1]
    assert (last.what, last.at, last.attempt) == ("next_run", at(9), 2)


def test_a_cancel_that_is_under_way_is_told() -> None:
    """A running job that was asked to end says so; a cancelled one ends with its reason."""
    asked = record(JobStatus.ACTIVE, start_time=at(1), cancel_requested_at=at(3))
    assert [e.what for e in trace_of(asked, KEYS).events] == ["enqueued", "started", "cancel_requested"]
    ended = record(JobStatus.CANCELLED, completion_time=at(4), last_error="cancelled")
    assert [(e.what, e.error) for e in trace_of(ended, KEYS).events][-1] == ("cancelled", "cancelled")


def test_a_running_attempt_names_its_runner() -> None:
    """Orchestrator and runner of the attempt that runs; an ended one's runner is not guessed."""
    running = record(JobStatus.ACTIVE, start_time=at(1), worker_id="w")
    started = trace_of(running, KEYS, runner="python").events[-1]
    assert (started.what, started.worker, started.runner) == ("started", "w", "python")
    done = record(JobStatus.COMPLETED, start_time=at(1), completion_time=at(2), worker_id="w")
    assert all("runner" not in to_builtins(each) for each in trace_of(done, KEYS, runner="python").events)


def test_a_function_that_names_its_runner_tells_it() -> None:
    """Also of attempts whose orchestrator died, and of the one that completed."""
    lost = failure(1, "crash", 1, 2, claim_seq=1, worker="w1")
    done = record(
        JobStatus.COMPLETED,
        function_name="rust#resize",
        attempts=(lost,),
        claim_seq=2,
        crash_count=1,
        start_time=at(3),
        completion_time=at(4),
        worker_id="w2",
    )
    started = [each for each in trace_of(done, KEYS).events if each.what == "started"]
    assert [(each.worker, each.runner) for each in started] == [("w1", "rust"), ("w2", "rust")]


def test_starts_that_left_no_attempt_are_counted() -> None:
    """A job given back once and lost once before it completed says so, and calls none of it waiting."""
    done = record(
        JobStatus.COMPLETED,
        claim_seq=3,
        crash_count=1,
        next_scheduled_run_time=at(60),
        start_time=at(62),
        completion_time=at(63),
    )
    trace = trace_of(done, KEYS)
    assert [(e.what, e.starts, e.lost) for e in trace.events] == [
        ("enqueued", None, None),
        ("earlier_starts", 2, 1),
        ("started", None, None),
        ("completed", None, None),
    ]
    assert trace.waited_seconds == 2
    released = record(JobStatus.ACTIVE, claim_seq=2, start_time=at(62))
    trace = trace_of(released, KEYS)
    assert [(e.what, e.starts, e.lost) for e in trace.events][1] == ("earlier_starts", 1, 0)
    assert trace.waited_seconds is None
    waiting = record(JobStatus.PENDING, claim_seq=1, start_time=at(1))
    assert [(e.what, e.at) for e in trace_of(waiting, KEYS).events][1] == ("earlier_starts", at(1))


def test_an_attempt_lost_with_its_process_is_begun_again() -> None:
    """What others broke is not counted: the attempt after a crash has the same number."""
    log = (failure(1, "crash", 1, 2, claim_seq=1),)
    done = record(
        JobStatus.COMPLETED, attempts=log, claim_seq=2, crash_count=1, start_time=at(3), completion_time=at(4)
    )
    events = trace_of(done, KEYS).events
    assert [(e.what, e.attempt) for e in events if e.what == "started"] == [("started", 1), ("started", 1)]
    assert (events[-1].what, events[-1].attempt) == ("completed", 1)


def test_a_start_lost_between_attempts_is_told_in_its_place() -> None:
    """The numbers of the claims tell where a start is missing."""
    log = (
        failure(1, "retry", 1, 2, retry_at_ms=ms(3), claim_seq=1),
        failure(2, "retry", 40, 41, retry_at_ms=ms(50), claim_seq=3),
    )
    trace = trace_of(record(JobStatus.RETRYING, attempts=log, claim_seq=3, current_retries=2), KEYS)
    whats = [e.what for e in trace.events]
    assert whats == ["enqueued", "started", "retry", "earlier_starts", "started", "retry", "next_run"]
    assert trace.waited_seconds == 1


def release(seq: int, began: float, ended: float, **more: Any) -> AttemptEntry:
    """Return an entry of the starts that were given back."""
    return failure(1, "released", began, ended, claim_seq=seq, worker=f"w{seq}", runner="python", **more)


def test_starts_that_were_given_back_are_told_one_by_one() -> None:
    """Each with its times, where it was and why it ended, between the attempts; earlier ones are counted."""
    log = (failure(1, "retry", 20, 21, retry_at_ms=ms(30), claim_seq=40),)
    releases = (release(39, 10, 12), release(41, 31, 34), AttemptEntry(1, "released", "lost", claim_seq=42))
    done = record(
        JobStatus.COMPLETED,
        attempts=log,
        releases=releases,
        claim_seq=43,
        current_retries=1,
        start_time=at(50),
        completion_time=at(51),
    )
    events = trace_of(done, KEYS).events
    assert [(e.what, e.wait_seconds, e.run_seconds, e.worker) for e in events] == [
        ("enqueued", None, None, None),
        ("earlier_starts", None, None, None),
        ("started", None, None, "w39"),
        ("released", None, 2, "w39"),
        ("started", 8, None, None),
        ("retry", None, 1, None),
        ("started", 1, None, "w41"),
        ("released", None, 3, "w41"),
        ("released", None, None, None),
        ("started", 16, None, None),
        ("completed", None, 1, None),
    ]
    assert events[1].starts == 38
    told = [each.reason for each in events if each.what == "released"]
    assert told == ["boom 1", "boom 1", "lost"]
    assert all(each.error is None for each in events if each.what == "released")


def test_the_last_start_that_was_given_back_is_told_once() -> None:
    """A job that waits again, or was cancelled then, shows it from the log, and not from the record too."""
    given = {"releases": (release(1, 1, 3),), "claim_seq": 1, "start_time": at(1)}
    whats = [e.what for e in trace_of(record(JobStatus.PENDING, **given), KEYS).events]
    assert whats == ["enqueued", "started", "released", "next_run"]
    ended = trace_of(record(JobStatus.CANCELLED, completion_time=at(9), **given), KEYS).events
    assert [e.what for e in ended] == ["enqueued", "started", "released", "cancelled"]
    assert ended[-1].run_seconds is None


def test_a_start_given_back_after_a_requeue_is_told_after_it() -> None:
    """The order is that of the claims; a start without a number has its place by its time."""
    log = (failure(1, "failed", 1, 2, claim_seq=2),)
    releases = (release(1, 0, 0.5), release(3, 11, 12))
    again = record(
        JobStatus.PENDING, attempts=log, releases=releases, claim_seq=3, next_scheduled_run_time=at(10)
    )
    whats = [
        "enqueued",
        "started",
        "released",
        "started",
        "failed",
        "requeued",
        "started",
        "released",
        "next_run",
    ]
    assert [e.what for e in trace_of(again, KEYS).events] == whats
    unnumbered = msgspec.structs.replace(log[0], claim_seq=None)
    again = msgspec.structs.replace(again, attempts=(unnumbered,))
    assert [e.what for e in trace_of(again, KEYS).events if e.what != "earlier_starts"] == whats


def test_a_requeued_dead_letter_begins_anew() -> None:
    """After `dlq requeue` the next attempt is the first again, as `job show` says."""
    log = (failure(1, "retry", 1, 2, retry_at_ms=ms(3), claim_seq=1), failure(2, "failed", 3, 4, claim_seq=2))
    again = record(
        JobStatus.PENDING, attempts=log, claim_seq=2, start_time=at(3), next_scheduled_run_time=at(100)
    )
    events = trace_of(again, KEYS).events
    assert [(e.what, e.attempt) for e in events][-2:] == [("requeued", None), ("next_run", 1)]
    assert events[-2].at == at(100)
    runs = record(
        JobStatus.ACTIVE, attempts=log, claim_seq=3, start_time=at(101), next_scheduled_run_time=at(100)
    )
    last = trace_of(runs, KEYS).events[-1]
    assert (last.what, last.attempt, last.wait_seconds) == ("started", 1, 1)
