"""What happens to jobs, whatever language their handlers are in: one function per scenario.

Each enqueues a number of jobs for one runner, waits for their ends, and checks result, status, attempts
and dead letter queue. `--count` sets the count.
"""

import os
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from rrq_producer import EnqueuedJob
from rrq_protocol import Job, JobRecord, JobResult, JobStatus
from rrq_protocol.transitions import CancelReply
from support.road import Road
from support.waiting import eventually

__all__ = ["COUNT", "CRON", "OUTCOMES", "SCENARIOS", "TICKS", "table"]

COUNT = int(os.environ.get("RRQ_TEST_COUNT") or 1000)
TICKS = 2
CRON = "every-second"
"""Entries of this name, with the runner's behind it, enqueue an echo of ``{"language": runner}``."""
OUTCOMES: dict[tuple[str, str], str] = {}
"""What the session's tests saw, by language and scenario."""


def _enqueue(road: Road, runner: str, name: str, params: Any = None, **options: Any) -> list[EnqueuedJob]:
    jobs = [Job(f"{runner}#{name}", params or {}, **options) for _ in range(COUNT)]
    return road.producer.enqueue_many(jobs)


def _ended(road: Road, jobs: list[EnqueuedJob], status: JobStatus) -> list[tuple[JobResult, JobRecord]]:
    results = road.results(jobs)
    assert Counter(result.status for result in results) == {status: len(jobs)}, results
    return [(result, road.record(job.id)) for result, job in zip(results, jobs, strict=True)]


def _dead(road: Road, jobs: list[EnqueuedJob]) -> bool:
    return {job.id for job in jobs} <= set(road.dead())


def success(road: Road, runner: str) -> None:
    """What goes in comes out."""
    jobs = [Job(f"{runner}#echo", {"number": number, "text": "ü → 😀"}) for number in range(COUNT)]
    results = road.results(road.producer.enqueue_many(jobs))
    assert [result.result for result in results] == [dict(job.params) for job in jobs]


def retried(road: Road, runner: str) -> None:
    """The first two attempts fail, the third one succeeds."""
    jobs = _enqueue(road, runner, "retry", {"attempts": 3, "seconds": 0.05})
    for result, record in _ended(road, jobs, JobStatus.COMPLETED):
        assert (result.result, result.attempts) == ({"attempt": 3}, 3)
        assert [(each.attempt, each.outcome, each.runner) for each in record.attempts] == [
            (1, "retry", runner),
            (2, "retry", runner),
        ]


def failed_first(road: Road, runner: str) -> None:
    """Nobody asks for a retry: the first attempts are plain failures, retried by policy, the third one
    succeeds.
    """
    jobs = _enqueue(road, runner, "fail", {"message": "not → yet", "until": 3})
    for result, record in _ended(road, jobs, JobStatus.COMPLETED):
        assert (result.result, result.attempts) == ({"attempt": 3}, 3)
        assert [(each.attempt, each.outcome, each.runner) for each in record.attempts] == [
            (1, "retry", runner),
            (2, "retry", runner),
        ]
        assert all("not → yet" in each.message for each in record.attempts)


def exhausted(road: Road, runner: str) -> None:
    """All attempts fail: dead letter, with the last error."""
    jobs = _enqueue(road, runner, "fail", {"message": "no → luck"}, max_retries=2)
    for result, record in _ended(road, jobs, JobStatus.FAILED):
        assert "no → luck" in (result.last_error or "")
        assert [(each.outcome, each.runner) for each in record.attempts] == [
            ("retry", runner),
            ("failed", runner),
        ]
    assert _dead(road, jobs)


def timeout(road: Road, runner: str) -> None:
    """Cancelled at the deadline: dead letter, and the process goes on."""
    jobs = _enqueue(road, runner, "sleep", {"seconds": 600}, job_timeout_seconds=0.3)
    for result, record in _ended(road, jobs, JobStatus.FAILED):
        # Whoever sees it first words it: the orchestrator, or a runner that looks at the clock itself.
        assert result.last_error
        assert [each.outcome for each in record.attempts] == ["timeout"]
    assert _dead(road, jobs)


def unknown(road: Road, runner: str) -> None:
    """No handler of that name: dead letter at once."""
    jobs = _enqueue(road, runner, "nobody")
    for result, record in _ended(road, jobs, JobStatus.FAILED):
        assert "nobody" in (result.last_error or "")
        assert len(record.attempts) == 1
    assert _dead(road, jobs)


def cancelled(road: Road, runner: str) -> None:
    """Running jobs are asked to end, waiting ones never run; neither is a dead letter."""
    jobs = _enqueue(road, runner, "sleep", {"seconds": 600})
    eventually(lambda: road.record(jobs[0].id).status is JobStatus.ACTIVE, "the first job to run")
    replies = {road.producer.cancel(job.id) for job in jobs}
    assert replies <= {CancelReply.REQUESTED, CancelReply.CANCELLED}
    _ended(road, jobs, JobStatus.CANCELLED)
    assert not {job.id for job in jobs} & set(road.dead())


def deferred(road: Road, runner: str) -> None:
    """Not before its time."""
    jobs = _enqueue(road, runner, "echo", {"later": True}, defer_by=0.4)
    for _, record in _ended(road, jobs, JobStatus.COMPLETED):
        assert record.start_time is not None
        assert record.start_time - record.enqueue_time >= timedelta(seconds=0.35)


def unique(road: Road, runner: str) -> None:
    """One job holds the key until it has ended."""
    key = f"only-{runner}"
    jobs = _enqueue(road, runner, "sleep", {"seconds": 0.2}, unique_key=key)
    assert [job.created for job in jobs] == [True] + [False] * (COUNT - 1)
    assert {job.id for job in jobs} == {jobs[0].id}
    _ended(road, jobs, JobStatus.COMPLETED)
    again = road.producer.enqueue(f"{runner}#echo", unique_key=key)
    assert again.created
    _ended(road, [again], JobStatus.COMPLETED)


def cron(road: Road, runner: str) -> None:
    """An entry that fires every second: each tick's job is executed once."""
    pattern = f"{road.keyspace.job(f'cron:{CRON}-{runner}:')}*"

    def fired() -> list[str]:
        keys = [key.decode() for key in road.client.scan_iter(match=pattern, count=10_000)]
        return [key.partition(":job:")[2] for key in keys]

    ids = eventually(lambda: seen if len(seen := fired()) >= TICKS else [], f"{TICKS} ticks for {runner}")
    for job_id in ids:
        assert road.result(job_id).result == {"language": runner}
        assert len(road.record(job_id).attempts) <= 1


SCENARIOS: dict[str, Callable[[Road, str], None]] = {
    each.__name__: each
    for each in (
        success,
        retried,
        failed_first,
        exhausted,
        timeout,
        unknown,
        cancelled,
        deferred,
        unique,
        cron,
    )
}


def table() -> list[str]:
    """Return what was seen, as lines: a row per scenario, a column per language."""
    languages = list(dict.fromkeys(language for language, _ in OUTCOMES))
    names = list(dict.fromkeys(name for _, name in OUTCOMES))
    if not names:
        return []
    wide = max(map(len, names))
    lines = [f"{'':<{wide}}  " + "  ".join(f"{language:<8}" for language in languages)]
    for name in names:
        cells = (OUTCOMES.get((language, name), "") for language in languages)
        lines.append(f"{name:<{wide}}  " + "  ".join(f"{cell:<8}" for cell in cells))
    return [line.rstrip() for line in lines]
