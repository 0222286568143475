"""Our orchestrator runs the public line's runners: its Python one, and one made of its Rust crate."""

from collections.abc import Iterator

import pytest

from rrq_protocol import Job, JobStatus
from support.interop.site import Site
from support.waiting import eventually

RAN = {"wheel": "wheel", "crate": "rust"}


@pytest.fixture(scope="module", params=list(RAN), autouse=True)
def kind(site: Site, request: pytest.FixtureRequest) -> Iterator[str]:
    """Serve our orchestrator with a runner of this kind, which it takes for larger than it is."""
    chosen: str = request.param
    with site.running("ours", chosen, max_in_flight=100):
        yield chosen
    eventually(lambda: not site.processes(), "no process to be left")


def test_a_result_comes_back(site: Site, kind: str) -> None:
    """Parameters, attempt, queue and trace arrive; the result is read by our producer."""
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    job = site.producer.enqueue("echo", {"word": "grüße"}, trace_context=trace)
    result = site.result(job.id)
    told = {
        "params": {"word": "grüße"}, "attempt": 1, "queue": "default", "trace": trace, "ran": RAN[kind]
    }  # fmt: skip
    assert (result.status, result.result) == (JobStatus.COMPLETED, told)


def test_a_failed_attempt_is_retried(site: Site, kind: str) -> None:
    """Its error is a failed attempt."""
    job = site.producer.enqueue("flaky", {"succeeds_on": 2})
    assert site.result(job.id).result == 2
    assert site.starts(job.id) == [(1, RAN[kind]), (2, RAN[kind])]


def test_a_handler_may_ask_for_a_retry(site: Site) -> None:
    """Its retry with a delay is one of ours."""
    job = site.producer.enqueue("patient", {"seconds": 0.3})
    assert site.result(job.id).result == 2


def test_spent_attempts_end_in_the_dead_letter_queue(site: Site) -> None:
    """With the error it gave."""
    job = site.producer.enqueue("flaky", {"succeeds_on": 9}, max_retries=2)
    result = site.result(job.id)
    assert (result.status, result.last_error) == (JobStatus.FAILED, "attempt 2 fails")
    assert site.dead().count(job.id) == 1


def test_an_unknown_handler_ends_in_the_dead_letter_queue(site: Site) -> None:
    """Its answer to it is known to ours."""
    job = site.producer.enqueue("nobody_wrote_this")
    assert site.result(job.id).status is JobStatus.FAILED
    assert site.record(job.id).current_retries == 1


def test_an_attempt_out_of_time_ends_and_spares_its_neighbour(site: Site) -> None:
    """It knows the deadline too, and whoever is first says so. Its process stays, and so does the job beside
    it.
    """
    slow = site.producer.enqueue("endless", job_timeout_seconds=0.5)
    beside = site.producer.enqueue("nap", {"seconds": 1.0})
    result = site.result(slow.id)
    assert result.status is JobStatus.FAILED
    assert (result.last_error or "").startswith("timed out")
    assert len(site.starts(slow.id)) == 1
    assert site.result(beside.id).status is JobStatus.COMPLETED
    assert len(site.starts(beside.id)) == 1


def test_a_running_job_can_be_cancelled(site: Site) -> None:
    """Our cancel reaches its handler."""
    job = site.producer.enqueue("endless")
    eventually(lambda: site.starts(job.id), "the handler to start")
    site.producer.cancel(job.id)
    assert site.result(job.id).status is JobStatus.CANCELLED


def test_more_jobs_than_it_takes_at_once(site: Site) -> None:
    """It refuses what exceeds 64 requests, in words of its own: no attempt is spent, each job starts once."""
    jobs = site.producer.enqueue_many([Job("nap", {"seconds": 0.3}, max_retries=1) for _ in range(150)])
    assert {site.result(job.id).status for job in jobs} == {JobStatus.COMPLETED}
    assert {site.executions()[job.id] for job in jobs} == {1}
    assert set(site.fields([job.id for job in jobs], "current_retries")) == {"0"}
