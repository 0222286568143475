"""A job's record as the story of its life. Pure: record in, events out."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from rrq_cli.store.records import time_of
from rrq_protocol import AttemptEntry, JobRecord, JobStatus, Keyspace

__all__ = ["Trace", "TraceEvent", "trace_of"]


class TraceEvent(msgspec.Struct, kw_only=True):
    """One step in a job's life.

    Attributes:
        what: ``enqueued``, ``due``, ``started``, ``retry``, ``failed``, ``timeout``, ``crash``, ``released``,
            ``completed``, ``cancelled``, ``cancel_requested``, ``next_run``, ``requeued`` or
            ``earlier_starts``.
        at: When, null where it was not recorded.
        attempt: Which attempt, from 1.
        wait_seconds: ``started``: time from due to start; null where it was not recorded when it was due.
        run_seconds: The end of an attempt: time since its start.
        backoff_seconds: The end of an attempt that is tried again: how long from it until that was due; left
            out of all others.
        worker: The orchestrator.
        runner: The runner; left out where it is not recorded.
        error: The error's text, and ``error_type`` its type.
        reason: ``released``: why the start was given back uncounted; left out of all others.
        starts: ``earlier_starts``: starts that the record tells of no more, given back or lost uncharged.
        lost: How many of these starts were lost.
    """

    what: str
    at: datetime | None = None
    attempt: int | None = None
    wait_seconds: float | None = None
    run_seconds: float | None = None
    backoff_seconds: float | msgspec.UnsetType = msgspec.UNSET
    worker: str | None = None
    runner: str | msgspec.UnsetType = msgspec.UNSET
    error_type: str | None = None
    error: str | None = None
    reason: str | msgspec.UnsetType = msgspec.UNSET
    starts: int | None = None
    lost: int | None = None


class Trace(msgspec.Struct, kw_only=True):
    """A job's life so far. ``waited_seconds`` and ``ran_seconds`` are sums over its recorded attempts."""

    id: str
    status: str
    function_name: str
    queue_name: str | None = None
    events: list[TraceEvent] = []
    waited_seconds: float | None = None
    ran_seconds: float | None = None


def trace_of(record: JobRecord, keys: Keyspace, *, runner: str | None = None) -> Trace:
    """Return the timeline of a job, in the order things happened.

    Args:
        record: The job.
        keys: Where it is.
        runner: The runner of the attempt that runs now; the record names those of attempts that ended.
    """
    events = [TraceEvent(what="enqueued", at=record.enqueue_time)]
    due: datetime | None = record.enqueue_time
    if first := _first_due(record):
        events.append(TraceEvent(what="due", at=first))
        due = first
    told, lost = 0, _lost(record)
    requeued, named = _is_requeued(record), _named_runner(record)
    last_failed = record.attempts[-1] if record.attempts else None
    for entry in _recorded(record):
        if untold := _untold(told, entry.claim_seq):
            events.append(TraceEvent(what="earlier_starts", starts=untold, lost=min(lost, untold)))
            due, lost = None, max(0, lost - untold)
        events += _attempt(entry, due, named)
        due = time_of(entry.retry_at_ms) or time_of(entry.ended_at_ms) or due
        told = max(told, entry.claim_seq or 0)
        if requeued and entry is last_failed:
            # Nothing failed since, so that is still the time it was put back.
            due = record.next_scheduled_run_time
            events.append(TraceEvent(what="requeued", at=due))
    shown_last = _shows_last(record)
    if untold := _untold(told, record.claim_seq + (0 if shown_last else 1)):
        since = None if shown_last else record.start_time
        events.append(TraceEvent(what="earlier_starts", at=since, starts=untold, lost=min(lost, untold)))
        due = _later_due(record)
    events += _last_attempt(
        record, due, (runner if record.status is JobStatus.ACTIVE else record.runner) or named
    )
    events += _outlook(record)
    waits = [event.wait_seconds for event in events if event.wait_seconds is not None]
    runs = [event.run_seconds for event in events if event.run_seconds is not None]
    return Trace(
        id=record.id,
        status=record.status.value,
        function_name=record.function_name,
        queue_name=None if record.queue_name is None else keys.queue_name(record.queue_name),
        events=events,
        waited_seconds=sum(waits) if waits else None,
        ran_seconds=sum(runs) if runs else None,
    )


def _recorded(record: JobRecord) -> list[AttemptEntry]:
    """Return the attempts that failed and the starts that were given back, in the order of their claims."""
    releases = list(record.releases)
    entries: list[AttemptEntry] = []
    for entry in record.attempts:
        while releases and _is_before(releases[0], entry):
            entries.append(releases.pop(0))
        entries.append(entry)
    return entries + releases


def _is_before(one: AttemptEntry, other: AttemptEntry) -> bool:
    """Whether a start came before another; those of the public line have no number."""
    if one.claim_seq is not None and other.claim_seq is not None:
        return one.claim_seq < other.claim_seq
    return (one.ended_at_ms or 0) < (other.ended_at_ms or 0)


def _first_due(record: JobRecord) -> datetime | None:
    """Return when the first attempt was due, if later than the enqueueing; a retry overwrites that time."""
    due = record.next_scheduled_run_time
    if due is None or record.attempts or record.current_retries or record.crash_count:
        return None
    return due if (due - record.enqueue_time).total_seconds() > 0.001 else None


def _untold(told: int, claim_seq: int | None) -> int:
    """Return how many starts lie between the last one told of and that of this number.

    A job that was given back leaves no entry of the attempt, only the number.
    """
    return max(0, (claim_seq or 0) - told - 1)


def _lost(record: JobRecord) -> int:
    """Return how many starts were lost and are not in the log, which is bounded."""
    return max(0, record.crash_count - sum(entry.outcome == "crash" for entry in record.attempts))


def _later_due(record: JobRecord) -> datetime | None:
    """Return when a job that started before was due again; None where only the first time is known."""
    due = record.next_scheduled_run_time
    if due is None or record.start_time is None or record.crash_count == 0 or due > record.start_time:
        return None
    return due


def _is_requeued(record: JobRecord) -> bool:
    """Whether it got a fresh start as a dead letter: fewer attempts count than the log tells of."""
    if not record.attempts or record.status is JobStatus.FAILED:
        return False
    return record.attempts[-1].outcome != "crash" and record.current_retries < record.attempts[-1].attempt


def _number(record: JobRecord) -> int:
    """Return the number of the attempt that runs, comes next or was the last."""
    if record.attempts and not _is_requeued(record):
        # A crash of others than the job is no attempt of its own: the next one has the number of the last.
        return record.attempts[-1].attempt + (record.attempts[-1].outcome != "crash")
    return record.current_retries + 1


def _shows_last(record: JobRecord) -> bool:
    """Whether the record tells of a start that the log does not."""
    ran = record.status in (JobStatus.ACTIVE, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)
    return record.start_time is not None and ran and not _is_told(record)


def _between(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else max(0.0, (end - start).total_seconds())


def _named_runner(record: JobRecord) -> str | None:
    """Return the runner a job's function names, which no other one takes it from."""
    name, cut, _ = record.function_name.partition("#")
    return name if cut else None


def _attempt(entry: AttemptEntry, due: datetime | None, named: str | None) -> Iterator[TraceEvent]:
    started, ended = time_of(entry.started_at_ms), time_of(entry.ended_at_ms)
    number, worker, runner = entry.attempt, entry.worker, entry.runner or named or msgspec.UNSET
    if started is not None or entry.outcome != "released":
        yield TraceEvent(
            what="started",
            at=started,
            attempt=number,
            wait_seconds=_between(due, started),
            worker=worker,
            runner=runner,
        )
    released = entry.outcome == "released"
    backoff = _between(ended, time_of(entry.retry_at_ms))
    yield TraceEvent(
        what=entry.outcome,
        at=ended,
        attempt=number,
        run_seconds=_between(started, ended),
        backoff_seconds=msgspec.UNSET if backoff is None else backoff,
        worker=worker,
        runner=runner,
        error_type=entry.type,
        error=None if released else entry.message,
        reason=entry.message if released else msgspec.UNSET,
    )


def _last_attempt(record: JobRecord, due: datetime | None, runner: str | None) -> Iterator[TraceEvent]:
    """Yield the attempt that runs or ended the job, unless the log of failed attempts told of it already."""
    number, started, ended = _number(record), record.start_time, record.completion_time
    told = _is_told(record)
    if _shows_last(record):
        wait = _between(due, started)
        yield TraceEvent(
            what="started",
            at=started,
            attempt=number,
            wait_seconds=wait,
            worker=record.worker_id,
            runner=runner or msgspec.UNSET,
        )
    if not record.status.is_terminal or (told and record.status is JobStatus.FAILED):
        return
    error = None if record.status is JobStatus.COMPLETED else record.last_error
    run = None if told else _between(started, ended)
    attempt = number if started is not None and not told else None
    yield TraceEvent(
        what=record.status.value.lower(), at=ended, attempt=attempt, run_seconds=run, error=error
    )


def _is_told(record: JobRecord) -> bool:
    """Whether the last start in the record is that of the last failed attempt."""
    if not (record.attempts or record.releases) or record.start_time is None:
        return False
    last = _recorded(record)[-1]
    if last.claim_seq is not None and record.claim_seq:
        return last.claim_seq >= record.claim_seq
    ended = time_of(last.ended_at_ms)
    return ended is not None and record.start_time <= ended


def _outlook(record: JobRecord) -> Iterator[TraceEvent]:
    if record.cancel_requested_at is not None and not record.status.is_terminal:
        yield TraceEvent(what="cancel_requested", at=record.cancel_requested_at)
    if record.status in (JobStatus.PENDING, JobStatus.RETRYING):
        yield TraceEvent(what="next_run", at=record.next_scheduled_run_time, attempt=_number(record))
