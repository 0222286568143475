"""The main road: real producers, one orchestrator process, runner processes over every transport, real Redis.

One orchestrator serves the whole module, as in production; what needs settings of its own is in
test_serving.py.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from rrq_producer import AsyncProducer, RRQClient, WaitTimeout
from rrq_protocol import Job, JobStatus, Keyspace, Secret, Settings
from rrq_protocol.settings import Provenance
from rrq_protocol.transitions import CancelReply
from support.redis_servers import RedisServer
from support.road import Road
from support.waiting import eventually

WITHIN_S = 30
RUNNERS = {
    "python": {"app": "handlers:settings", "pool_size": 2},
    "tcp": {"app": "handlers:settings", "pool_size": 1, "tcp_port": 0},
    "pipes": {"app": "handlers:settings", "pool_size": 1, "type": "stdio"},
}
# The orchestrator, its runner processes, and the guard of each.
PROCESSES = 1 + 2 * 4


@pytest.fixture(scope="module")
def site(redis_server: RedisServer) -> Iterator[Road]:
    """Serve an orchestrator with three runners."""
    keyspace = Keyspace("rrq-main-road")
    with Road(redis_server.url, keyspace) as site:
        for key in site.client.scan_iter(match=f"{keyspace.prefix}:*"):
            site.client.unlink(key)
        site.configure(RUNNERS, runner_routes={"media": "tcp"})
        with site.running():
            yield site
        site.assert_nothing_left()


@pytest.fixture
def road(site: Road) -> Iterator[Road]:
    """Serve the site to one test; at its end all keys fit together and each runner process is there again."""
    yield site
    eventually(lambda: len(site.processes()) == PROCESSES, f"{PROCESSES} processes")
    assert site.findings() == ()


@pytest.fixture
async def async_producer(site: Road, anyio_backend: str) -> AsyncIterator[AsyncProducer]:
    """Serve an async producer."""
    async with AsyncProducer(site.url, key_prefix=site.keyspace.prefix) as producer:
        yield producer


@pytest.mark.parametrize("runner", list(RUNNERS))
def test_a_result_comes_back_over_every_transport(road: Road, runner: str) -> None:
    """Unix socket, TCP, and stdio: the named runner executes the job, the producer gets what it returned."""
    job = road.producer.enqueue(f"{runner}#plain", {"word": "grüße"})
    result = road.producer.wait(job.id, WITHIN_S)
    assert (result.status, result.result) == (
        JobStatus.COMPLETED,
        {"word": "grüße", "runner": runner, "queue": "default"},
    )
    assert len(road.sightings("start", job.id)) == 1


def test_the_queue_names_the_runner(road: Road) -> None:
    """A queue with a route goes to its runner; a prefix of the function outranks it."""
    routed = road.producer.enqueue("plain", {"word": "a"}, queue_name="media")
    named = road.producer.enqueue("pipes#plain", {"word": "b"}, queue_name="media")
    results = [road.result(job.id).result for job in (routed, named)]
    assert [(each["runner"], each["queue"]) for each in results] == [("tcp", "media"), ("pipes", "media")]


@pytest.mark.anyio
async def test_the_async_producer_waits_without_blocking(road: Road, async_producer: AsyncProducer) -> None:
    """Enqueue, wait and status are the same there."""
    job = await async_producer.enqueue("work", {"number": 21})
    assert (await async_producer.wait(job.id, WITHIN_S)).result == 42
    status = await async_producer.get_job_status(job.id)
    assert status is not None
    assert status.status is JobStatus.COMPLETED


@pytest.mark.anyio
async def test_the_first_lines_call_style_works(road: Road) -> None:
    """Positional arguments reach the handler by position, keyword arguments by name."""
    given = Provenance(given=frozenset({"redis_dsn"}))
    settings = Settings(redis_dsn=Secret(road.url), key_prefix=road.keyspace.prefix, provenance=given)
    async with RRQClient(settings) as client:
        job = await client.enqueue("positional", "hello", _max_retries=2, item_id=123)
        assert (await client.wait(job.id, WITHIN_S)).result == ["hello", 123]
    assert road.record(job.id).max_retries == 2


def test_a_failed_attempt_is_retried(road: Road) -> None:
    """Two failures, then success: three executions, both failures on record, no error left on the job."""
    job = road.producer.enqueue("flaky", {"succeeds_on": 3})
    result = road.result(job.id)
    assert (result.status, result.result, result.last_error) == (JobStatus.COMPLETED, 3, None)
    record = road.record(job.id)
    assert (record.current_retries, record.crash_count, record.claim_seq) == (2, 0, 3)
    assert [each.attempt for each in road.sightings("start", job.id)] == [1, 2, 3]
    assert [(each.attempt, each.type) for each in record.attempts] == [(1, "ValueError"), (2, "ValueError")]


def test_spent_attempts_end_in_the_dead_letter_queue(road: Road) -> None:
    """The last error, and a log of every attempt with its traceback; no further execution."""
    job = road.producer.enqueue("flaky", {"succeeds_on": 9}, max_retries=2)
    result = road.result(job.id)
    assert (result.status, result.last_error) == (JobStatus.FAILED, "ValueError: attempt 2 fails")
    record = road.record(job.id)
    assert road.dead()[0] == job.id
    assert [(each.attempt, each.outcome) for each in record.attempts] == [(1, "retry"), (2, "failed")]
    assert all("handlers.py" in (each.traceback or "") for each in record.attempts)
    assert len(road.sightings("start", job.id)) == 2


@pytest.mark.parametrize(("hopeless", "allowed", "attempts"), [(False, 5, 3), (False, 2, 2), (True, 5, 1)])
def test_a_handler_has_a_retry_policy_of_its_own(
    road: Road, hopeless: bool, allowed: int, attempts: int
) -> None:
    """The handler's limit or the job's, whichever is lower; an error it gives up on is the last at once."""
    job = road.producer.enqueue("fussy", {"hopeless": hopeless}, max_retries=allowed)
    result = road.result(job.id)
    assert result.status is JobStatus.FAILED
    assert ("its handler allows no other attempt" in (result.last_error or "")) is (attempts < allowed)
    assert [each.attempt for each in road.sightings("start", job.id)] == list(range(1, attempts + 1))
    assert job.id in road.dead()
    if attempts > 1:
        first = road.record(job.id).attempts[0]
        assert first.retry_at_ms is not None
        assert first.ended_at_ms is not None
        # The orchestrator's own delay would be up to 50 ms.
        assert first.retry_at_ms == first.ended_at_ms


def test_a_handler_may_name_the_delay_of_its_retry(road: Road) -> None:
    """RetryJob: the second attempt starts that much later, not after the policy's backoff."""
    job = road.producer.enqueue("patient", {"seconds": 0.7})
    assert road.result(job.id).result == 2
    record = road.record(job.id)
    (entry,) = record.attempts
    assert entry.retry_at_ms is not None
    assert entry.ended_at_ms is not None
    assert entry.retry_at_ms - entry.ended_at_ms == 700
    assert record.start_time is not None
    assert record.start_time >= datetime.fromtimestamp(entry.ended_at_ms / 1000 + 0.6, UTC)
    assert entry.message == "not yet"


@pytest.mark.parametrize("handler", ["endless", "blocking", "stubborn"])
def test_an_attempt_out_of_time_ends_in_the_dead_letter_queue(road: Road, handler: str) -> None:
    """Whether the handler ends when asked to, holds a thread, or swallows its cancellation: the job fails,
    its slot is free again, and a neighbour in the same process is charged nothing.
    """
    job = road.producer.enqueue(f"tcp#{handler}", job_timeout_seconds=0.3)
    neighbour = road.producer.enqueue("tcp#hold", {"gate": f"after-{handler}"})
    road.seen(2, job.id, neighbour.id)
    result = road.result(job.id)
    assert (result.status, result.last_error) == (JobStatus.FAILED, "timed out after 0.3 s")
    assert road.dead()[0] == job.id
    assert [each.outcome for each in road.record(job.id).attempts] == ["timeout"]
    road.open(f"after-{handler}")
    assert road.result(neighbour.id).status is JobStatus.COMPLETED
    record = road.record(neighbour.id)
    assert (record.current_retries, record.crash_count) == (0, 0)
    assert road.result(road.producer.enqueue("tcp#work").id).status is JobStatus.COMPLETED


def test_an_unknown_handler_ends_in_the_dead_letter_queue(road: Road) -> None:
    """At once, naming the handler."""
    job = road.producer.enqueue("no_such_handler")
    result = road.result(job.id)
    assert result.status is JobStatus.FAILED
    assert "no_such_handler" in (result.last_error or "")
    assert road.dead()[0] == job.id


def test_an_unknown_runner_ends_in_the_dead_letter_queue(road: Road) -> None:
    """The text names the runners there are."""
    job = road.producer.enqueue("rust#work")
    result = road.result(job.id)
    assert result.status is JobStatus.FAILED
    assert "'rust'" in (result.last_error or "")
    assert "pipes, python, tcp" in (result.last_error or "")


@pytest.mark.parametrize(
    ("params", "field"),
    [({"number": "five"}, "number"), ({"nubmer": 5}, "nubmer"), ({"number": None}, "number")],
    ids=["wrong type", "misspelt", "null"],
)
def test_params_that_do_not_fit_name_the_field(road: Road, params: dict[str, object], field: str) -> None:
    """Another attempt could not cure that, so there is none, and the handler never runs."""
    job = road.producer.enqueue("work", params)
    result = road.result(job.id)
    assert result.status is JobStatus.FAILED
    assert (result.last_error or "").startswith(f"{field}: ")
    assert road.sightings("start", job.id) == []


def test_a_deferred_job_waits_for_its_time(road: Road) -> None:
    """By a duration or until an instant: it starts then, not before, and without a fallback poll's delay."""
    jobs = [
        road.producer.enqueue("work", defer_by=0.6),
        road.producer.enqueue("work", defer_until=datetime.now(UTC) + timedelta(seconds=0.6)),
    ]
    assert [road.record(job.id).status for job in jobs] == [JobStatus.PENDING, JobStatus.PENDING]
    for job in jobs:
        assert road.result(job.id).status is JobStatus.COMPLETED
        record = road.record(job.id)
        assert record.start_time is not None
        assert record.start_time - record.enqueue_time >= timedelta(seconds=0.55)


def test_a_unique_key_is_held_until_its_job_has_ended(road: Road) -> None:
    """A second enqueue gets the first job; after its end the key is free."""
    first = road.producer.enqueue("hold", {"gate": "unique"}, unique_key="only")
    second = road.producer.enqueue("hold", {"gate": "unique"}, unique_key="only")
    assert (second.id, second.created) == (first.id, False)
    road.open("unique")
    assert road.result(first.id).status is JobStatus.COMPLETED
    third = road.producer.enqueue("work", unique_key="only")
    assert third.created
    assert road.result(third.id).status is JobStatus.COMPLETED


def test_a_waiting_job_can_be_cancelled(road: Road) -> None:
    """Its waiter hears of it, and it never runs."""
    job = road.producer.enqueue("work", defer_by=3600)
    assert road.producer.cancel(job.id) is CancelReply.CANCELLED
    assert road.result(job.id).status is JobStatus.CANCELLED
    assert road.sightings("start", job.id) == []
    assert road.producer.cancel(job.id) is CancelReply.FINISHED


@pytest.mark.parametrize("handler", ["endless", "blocking"])
def test_a_running_job_can_be_cancelled(road: Road, handler: str) -> None:
    """The handler is asked to end, and its process replaced if it does not; the job is cancelled."""
    job = road.producer.enqueue(handler)
    road.seen(1, job.id)
    assert road.producer.cancel(job.id) is CancelReply.REQUESTED
    assert road.result(job.id).status is JobStatus.CANCELLED
    assert job.id not in road.dead()


def test_waiting_has_a_limit(road: Road) -> None:
    """It ends with a TimeoutError that says where the job stands; the job goes on."""
    job = road.producer.enqueue("hold", {"gate": "limit"})
    road.seen(1, job.id)
    with pytest.raises(WaitTimeout, match="ACTIVE"):
        road.producer.wait(job.id, 0.05)
    road.open("limit")
    assert road.result(job.id).status is JobStatus.COMPLETED


def test_a_thousand_jobs_run_exactly_once(road: Road) -> None:
    """enqueue_many answers per item, in order; each job is executed once, and every one completes."""
    before = len(road.sightings())
    jobs = road.producer.enqueue_many(Job("work", {"number": number}) for number in range(1000))
    assert len({job.id for job in jobs}) == 1000
    assert [each.result for each in road.results(jobs)] == [number * 2 for number in range(1000)]
    ran = road.sightings()[before:]
    assert sorted(each.job_id for each in ran) == sorted(job.id for job in jobs)
    assert len({each.pid for each in ran}) == 2
