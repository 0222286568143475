"""The public orchestrator serves our jobs, with our runner."""

from collections.abc import Iterator

import pytest

from rrq_protocol import Job, JobStatus
from rrq_protocol.transitions import CancelReply
from support.interop.site import Site
from support.waiting import eventually


@pytest.fixture(scope="module", autouse=True)
def _orchestrator(site: Site) -> Iterator[None]:
    """Serve the public orchestrator with our runner."""
    with site.running("public", "ours"):
        yield
    eventually(lambda: not site.processes(), "no process to be left")


def test_a_result_comes_back(site: Site) -> None:
    """Our runner gets the job as our producer wrote it, under the public orchestrator's full queue key, and
    our producer reads the result.
    """
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    job = site.producer.enqueue("echo", {"word": "grüße", "n": [1, None, 2.5]}, trace_context=trace)
    result = site.result(job.id)
    assert (result.status, result.result) == (
        JobStatus.COMPLETED,
        {
            "params": {"word": "grüße", "n": [1, None, 2.5]},
            "attempt": 1,
            "queue": "rrq:queue:default",
            "trace": trace,
            "ran": "ours",
        },
    )
    assert site.starts(job.id) == [(1, "ours")]


def test_a_failed_attempt_is_retried(site: Site) -> None:
    """An error of our runner is a retry there too."""
    job = site.producer.enqueue("flaky", {"succeeds_on": 3})
    assert site.result(job.id).result == 3
    assert [attempt for attempt, _ in site.starts(job.id)] == [1, 2, 3]


def test_a_handler_may_ask_for_a_retry(site: Site) -> None:
    """RetryJob and its delay are understood."""
    job = site.producer.enqueue("patient", {"seconds": 0.3})
    assert site.result(job.id).result == 2


def test_spent_attempts_end_in_the_dead_letter_queue(site: Site) -> None:
    """max_retries means total attempts to both; the error is the one our runner gave."""
    job = site.producer.enqueue("flaky", {"succeeds_on": 9}, max_retries=2)
    result = site.result(job.id)
    assert result.status is JobStatus.FAILED
    assert "attempt 2 fails" in (result.last_error or "")
    assert site.dead().count(job.id) == 1
    assert len(site.starts(job.id)) == 2


def test_an_unknown_handler_ends_in_the_dead_letter_queue(site: Site) -> None:
    """Our runner's answer to it is known there, so no attempt is repeated."""
    job = site.producer.enqueue("nobody_wrote_this")
    assert site.result(job.id).status is JobStatus.FAILED
    assert site.record(job.id).current_retries == 1


def test_an_attempt_out_of_time_ends_in_the_dead_letter_queue(site: Site) -> None:
    """The public orchestrator's timeout is final, as is ours by default."""
    job = site.producer.enqueue("endless", job_timeout_seconds=1)
    result = site.result(job.id)
    assert result.status is JobStatus.FAILED
    # Whoever sees it first words it: their orchestrator, or our runner, which looks at the clock itself.
    said = (result.last_error or "").lower()
    assert "timed out" in said or "deadline" in said
    assert len(site.starts(job.id)) == 1


def test_a_deferred_job_waits_for_its_time(site: Site) -> None:
    """The due time our producer writes is the one the public orchestrator claims by."""
    job = site.producer.enqueue("echo", defer_by=0.6)
    assert site.result(job.id).status is JobStatus.COMPLETED
    record = site.record(job.id)
    assert record.start_time is not None
    assert (record.start_time - record.enqueue_time).total_seconds() >= 0.6


def test_a_unique_key_holds_one_job_at_a_time(site: Site) -> None:
    """The key leads to the job that holds it; once that has ended, our producer may enqueue the next, though
    the public orchestrator leaves the key behind.
    """
    first = site.producer.enqueue("echo", unique_key="one", defer_by=0.5)
    second = site.producer.enqueue("echo", unique_key="one")
    assert second.id == first.id
    assert site.result(first.id).status is JobStatus.COMPLETED
    third = site.producer.enqueue("echo", unique_key="one")
    assert third.id != first.id
    assert site.result(third.id).status is JobStatus.COMPLETED


def test_a_cancel_of_a_running_job_is_not_heard(site: Site) -> None:
    """The public orchestrator has no way to be asked: our cancel says that it was requested, the job runs on.
    One that waits is cancelled all the same.
    """
    runs = site.producer.enqueue("nap", {"seconds": 1.0})
    waits = site.producer.enqueue("echo", defer_by=3600)
    eventually(lambda: site.starts(runs.id), "the handler to start")
    assert site.producer.cancel(runs.id) is CancelReply.REQUESTED
    assert site.producer.cancel(waits.id) is CancelReply.CANCELLED
    assert site.result(runs.id).status is JobStatus.COMPLETED
    assert site.result(waits.id).status is JobStatus.CANCELLED


def test_many_jobs_leave_nothing_behind(site: Site) -> None:
    """A hundred jobs are started once each; no queue entry, active entry or lock stays."""
    jobs = site.producer.enqueue_many([Job("echo", {"n": n}) for n in range(100)])
    results = [site.result(job.id) for job in jobs]
    assert [result.result["params"]["n"] for result in results] == list(range(100))
    assert {site.executions()[job.id] for job in jobs} == {1}
    eventually(lambda: not site.left(), "no key to be left")
