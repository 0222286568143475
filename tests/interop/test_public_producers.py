"""The public line's producers, the wheel's and the crate's, feed our orchestrator and wait for results."""

from collections.abc import Iterator

import pytest

from rrq_protocol import JobStatus
from support.interop.site import Site, Stranger


@pytest.fixture(scope="module", autouse=True)
def _orchestrator(site: Site) -> Iterator[None]:
    """Serve our orchestrator with our runner."""
    with site.running("ours", "ours"):
        yield


@pytest.fixture(scope="module", params=["wheel", "crate"])
def stranger(site: Site, request: pytest.FixtureRequest) -> Iterator[Stranger]:
    """Serve a producer of the public line."""
    with site.stranger(request.param) as found:
        yield found


def test_it_gets_its_result(site: Site, stranger: Stranger) -> None:
    """Without any setting of ours: it reads the record while it waits. The trace travels."""
    job_id = stranger.enqueue("echo", {"word": "grüße"}, trace_context={"traceparent": "00-1"})
    ended = stranger.wait(job_id)
    assert (ended["status"], ended["last_error"]) == ("COMPLETED", None)
    assert ended["result"] == {
        "params": {"word": "grüße"},
        "attempt": 1,
        "queue": "default",
        "trace": {"traceparent": "00-1"},
        "ran": "ours",
    }
    assert stranger.do("status", job_id=job_id) == ended


def test_it_sees_a_failure(site: Site, stranger: Stranger) -> None:
    """Its max_retries are our attempts; the error is in its words."""
    job_id = stranger.enqueue("flaky", {"succeeds_on": 9}, max_retries=2)
    ended = stranger.wait(job_id)
    assert (ended["status"], ended["last_error"]) == ("FAILED", "ValueError: attempt 2 fails")
    assert site.dead().count(job_id) == 1
    assert [attempt for attempt, _ in site.starts(job_id)] == [1, 2]


def test_its_timeout_is_kept(site: Site, stranger: Stranger) -> None:
    """One second, then the dead letter queue."""
    ended = stranger.wait(stranger.enqueue("endless", job_timeout_seconds=1))
    assert (ended["status"], ended["last_error"]) == ("FAILED", "timed out after 1 s")


def test_its_deferral_is_kept(site: Site, stranger: Stranger) -> None:
    """The job starts when it said, not before."""
    job_id = stranger.enqueue("echo", defer_by_seconds=0.6)
    assert stranger.wait(job_id)["status"] == "COMPLETED"
    record = site.record(job_id)
    assert record.start_time is not None
    assert (record.start_time - record.enqueue_time).total_seconds() >= 0.59


def test_its_own_job_id_is_refused_twice(site: Site, stranger: Stranger) -> None:
    """Whoever wrote the first one."""
    job = site.producer.enqueue("echo")
    with pytest.raises(ValueError, match="job_id already exists"):
        stranger.enqueue("echo", job_id=job.id)


def test_a_unique_key_is_one_key_for_both(site: Site, stranger: Stranger) -> None:
    """Whoever takes it first, the other is led to that job."""
    theirs = stranger.enqueue("echo", unique_key="theirs", defer_by_seconds=0.4)
    assert site.producer.enqueue("echo", unique_key="theirs").id == theirs
    ours = site.producer.enqueue("echo", unique_key="ours", defer_by=0.4)
    assert stranger.enqueue("echo", unique_key="ours") == ours.id
    assert {site.result(each).status for each in (theirs, ours.id)} == {JobStatus.COMPLETED}
    # Ours gave its key back when it ended. Theirs keeps it, as with its own orchestrator: its record does not
    # name the key.
    assert stranger.enqueue("echo", unique_key="ours") != ours.id
    assert stranger.enqueue("echo", unique_key="theirs") == theirs
    # Our producer asks what became of the holder.
    assert site.producer.enqueue("echo", unique_key="theirs").id != theirs
    site.client.delete("rrq:idempotency:theirs", "rrq:idempotency:ours")


def test_a_rate_limit_is_one_limit_for_both(site: Site, stranger: Stranger) -> None:
    """The second call in the window is refused, whoever makes it."""
    limit = {"rate_limit_key": "limit", "rate_limit_seconds": 60}
    job_id = stranger.do("rate_limit", "echo", options=limit)
    assert stranger.wait(job_id)["status"] == "COMPLETED"
    assert stranger.do("rate_limit", "echo", options=limit) is None
    refused = site.producer.enqueue_with_rate_limit("echo", rate_limit_key="limit", rate_limit_seconds=60)
    assert refused is None
    site.client.delete("rrq:rate_limit:limit")


def test_a_debounce_is_one_debounce_for_both(site: Site, stranger: Stranger) -> None:
    """Calls of both within the window are one job, with the last parameters."""
    quiet = {"debounce_key": "quiet", "debounce_seconds": 2}
    first = stranger.do("debounce", "echo", {"n": 1}, options=quiet)
    second = site.producer.enqueue_with_debounce("echo", {"n": 2}, debounce_key="quiet", debounce_seconds=2)
    third = stranger.do("debounce", "echo", {"n": 3}, options=quiet)
    assert first == second.id == third
    assert stranger.wait(first)["result"]["params"] == {"n": 3}
    assert len(site.starts(first)) == 1
    site.client.delete("rrq:debounce:quiet")
