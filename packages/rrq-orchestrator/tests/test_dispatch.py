"""Dispatch, deadlines, and the ends of attempts."""

from typing import cast

import pytest
import structlog

from rrq_orchestrator.attempts import Stage
from rrq_protocol import (
    ExecutionError,
    Job,
    JobStatus,
    OutcomeStatus,
    ProtocolError,
    WireOutcome,
    WireRequest,
    read_attempts,
)
from rrq_protocol.transitions import Claim, ClaimedJob, ClaimRequest, SettleReply, claim
from support.orchestrating import Bench, StandInPlaces, StandInRunner, failed, succeeded, until

pytestmark = pytest.mark.anyio


async def take(bench: Bench, *jobs: Job, queue: str = "default") -> Claim:
    """Enqueue, claim and dispatch."""
    await bench.register()
    await bench.enqueue(*jobs)
    reply = await bench.run(claim(bench.keyspace, "o1", [ClaimRequest(queue, "python", 100)], {}))
    bench.dispatcher.dispatch(reply.jobs, "o1")
    return reply


async def test_a_request_carries_what_the_handler_may_know(bench: Bench) -> None:
    """Prefix stripped, params untouched, attempt from 1, deadline from the job's own timeout."""
    reply = await take(
        bench, Job("python#greet", {"who": "Ada"}, job_timeout_seconds=30, trace_context={"t": "1"})
    )
    (request,) = await bench.runner.requests(1)
    job = reply.jobs[0]
    assert (request.function_name, bytes(request.params)) == ("greet", b'{"who":"Ada"}')
    assert request.request_id == f"{job.id}.1"
    assert (request.context.attempt, request.context.queue_name, request.context.worker_id) == (
        1,
        "default",
        "o1",
    )
    assert bytes(request.context.trace_context) == b'{"t":"1"}'
    assert request.context.deadline is not None


async def test_success_is_stored_as_it_came(bench: Bench) -> None:
    """The result is never parsed on its way; without one it is null."""
    reply = await take(bench, Job("a"), Job("b"))
    first, second = await bench.runner.requests(2)
    bench.runner.answer(succeeded(first, b'{"x": 1.50}'))
    bench.runner.answer(succeeded(second, b""))
    await bench.settled()
    assert (await bench.record(reply.jobs[0].id)).result == '{"x": 1.50}'
    assert (await bench.record(reply.jobs[1].id)).result == "null"


async def test_failure_is_retried_and_logged(bench: Bench) -> None:
    """The record tells the error; the attempts log also where and when, with the traceback."""
    reply = await take(bench, Job("a"))
    (request,) = await bench.runner.requests(1)
    error = ExecutionError(message="boom", type="ValueError", details={"traceback": "Traceback: line 3"})
    bench.runner.answer(
        WireOutcome(
            job_id=request.job_id, request_id=request.request_id, status=OutcomeStatus.ERROR, error=error
        )
    )
    await bench.settled()
    record = await bench.record(reply.jobs[0].id)
    assert (record.status, record.current_retries, record.last_error) == (
        JobStatus.RETRYING,
        1,
        "ValueError: boom",
    )
    assert record.attempts[0].traceback == "Traceback: line 3"
    assert (record.attempts[0].runner, record.attempts[0].worker) == ("python", "o1")


async def test_a_runner_nobody_configured_is_named_in_the_dead_letter(bench: Bench) -> None:
    """The job fails at once and says which runners there are."""
    reply = await take(bench, Job("cobol#pay"))
    await bench.settled()
    record = await bench.record(reply.jobs[0].id)
    assert record.status is JobStatus.FAILED
    assert "no runner named 'cobol'" in (record.last_error or "")
    assert "configured: python" in (record.last_error or "")


async def test_jobs_without_a_slot_are_released_uncounted(bench: Bench) -> None:
    """A process that went away between claim and dispatch costs nobody anything."""
    bench.runner.capacity = 1
    reply = await take(bench, Job("a"), Job("b"))
    await bench.settled()
    record = await bench.record(reply.jobs[1].id)
    assert (record.status, record.current_retries, record.crash_count) == (JobStatus.PENDING, 0, 0)


async def test_malformed_records_are_dead_lettered_and_never_run(bench: Bench) -> None:
    """Truncated params are not guessed (upstream U9)."""
    await bench.register()
    (job_id,) = await bench.enqueue(Job("a", {"x": 1}))
    await bench.client.hset(bench.keyspace.job(job_id), "job_params", '{"x":')
    reply = await bench.run(claim(bench.keyspace, "o1", [ClaimRequest("default", "python", 1)], {}))
    assert reply.jobs == ()
    bench.dispatcher.refuse(reply.malformed, "o1")
    await bench.settled()
    fields = cast("dict[bytes, bytes]", await bench.client.hgetall(bench.keyspace.job(job_id)))
    assert fields[b"status"] == b"FAILED"
    assert fields[b"last_error"].startswith(b"malformed: job_params")
    assert fields[b"job_params"] == b'{"x":'
    assert await bench.client.lrange(bench.keyspace.dlq("default"), 0, -1) == [job_id.encode()]
    assert bench.runner.open == {}
    assert bench.dispatcher.meters.malformed == {"default": 1}


async def test_a_deadline_is_followed_by_a_cancel_then_by_the_end_of_the_process(bench: Bench) -> None:
    """The ladder: cancel frame, grace, quarantine; the job is dead-lettered as timed out."""
    reply = await take(bench, Job("a", job_timeout_seconds=0.01))
    (request,) = await bench.runner.requests(1)
    (attempt,) = bench.dispatcher.attempts
    await until(lambda: attempt.stage is not Stage.RUNNING)
    assert bench.runner.cancelled == [request.request_id]
    await bench.dispatcher.drained()
    assert bench.runner.quarantined == [request.request_id]
    await bench.settled()
    record = await bench.record(reply.jobs[0].id)
    assert (record.status, record.last_error) == (JobStatus.FAILED, "timed out after 0.01 s")
    assert record.attempts[0].outcome == "timeout"


async def test_neighbours_of_a_handler_that_blocks_their_process_are_not_charged(bench: Bench) -> None:
    """Nobody knows which of them does it: all run again, alone, also the one whose deadline came first
    (F74).
    """
    reply = await take(bench, Job("a", job_timeout_seconds=0.01), Job("b"))
    await bench.runner.requests(2)
    bench.runner.blocked = True
    await bench.dispatcher.drained()
    await bench.settled()
    for job in reply.jobs:
        record = await bench.record(job.id)
        assert (record.status, record.current_retries, record.crash_count) == (JobStatus.PENDING, 0, 0)
        assert record.last_error == "its runner process did nothing any more, with several jobs in it"


async def test_an_answer_within_the_grace_spares_the_process(bench: Bench) -> None:
    """The attempt still counts as timed out."""
    reply = await take(bench, Job("a", job_timeout_seconds=0.01))
    (request,) = await bench.runner.requests(1)
    (attempt,) = bench.dispatcher.attempts
    await until(lambda: attempt.stage is not Stage.RUNNING)
    bench.runner.answer(failed(request, "cancelled", "cancelled"))
    await bench.settled()
    assert bench.runner.quarantined == []
    assert (await bench.record(reply.jobs[0].id)).last_error == "timed out after 0.01 s"


async def test_cancel_reaches_the_runner_and_ends_the_job(bench: Bench) -> None:
    """Only the attempt that holds the named token; a second cancel changes nothing."""
    reply = await take(bench, Job("a"))
    (request,) = await bench.runner.requests(1)
    job = reply.jobs[0]
    assert not bench.dispatcher.cancel_job(job.id, 99)
    assert bench.dispatcher.cancel_job(job.id, job.claim_seq)
    assert bench.dispatcher.cancel_job(job.id)
    assert bench.runner.cancelled == [request.request_id]
    bench.runner.answer(failed(request, "cancelled", "cancelled"))
    await bench.settled()
    assert (await bench.record(job.id)).status is JobStatus.CANCELLED


async def test_a_cancel_may_overtake_the_answer_to_the_claim(bench: Bench) -> None:
    """The job is claimed in Redis, asked to end, and only then known here: it never reaches a runner."""
    await bench.register()
    await bench.enqueue(Job("a"), Job("b"))
    reply = await bench.run(claim(bench.keyspace, "o1", [ClaimRequest("default", "python", 100)], {}))
    first, second = reply.jobs
    assert not bench.dispatcher.cancel_job(first.id, first.claim_seq)
    assert not bench.dispatcher.cancel_job(second.id, second.claim_seq + 1000)
    bench.dispatcher.dispatch(reply.jobs, "o1")
    (request,) = await bench.runner.requests(1)
    assert request.job_id == second.id
    await bench.settled()
    assert (await bench.record(first.id)).status is JobStatus.CANCELLED


async def test_a_crash_is_charged_to_the_crash_budget_only(bench: Bench) -> None:
    """The job goes back at once; its retries are untouched."""
    reply = await take(bench, Job("a"))
    await bench.runner.requests(1)
    bench.runner.crash("exited with 139")
    await bench.settled()
    record = await bench.record(reply.jobs[0].id)
    assert (record.status, record.crash_count, record.current_retries) == (JobStatus.PENDING, 1, 0)
    assert (
        read_attempts(await bench.client.hget(bench.keyspace.job(record.id), "attempts_log"))[0].outcome
        == "crash"
    )


async def test_several_lost_together_are_suspects_and_run_alone(bench: Bench) -> None:
    """Nobody is charged; their time starts once they have a place, and a cancel or a shutdown reaches those
    that wait (RELIABILITY.md 6.6)."""
    places = StandInPlaces(bench.dispatcher, capacity=0, coming=4)
    bench.runner.isolation = places
    await take(bench, *(Job(f"f{number}") for number in range(4)))
    await bench.runner.requests(4)
    bench.runner.crash("killed by SIGKILL with 4 in flight")
    await bench.settled()
    reply = await bench.run(claim(bench.keyspace, "o1", [ClaimRequest("default", "python", 100)], {}))
    assert all(job.suspect for job in reply.jobs)
    bench.dispatcher.dispatch(reply.jobs, "o1")
    assert (bench.runner.open, places.held) == ({}, [])
    assert {attempt.stage for attempt in bench.dispatcher.attempts} == {Stage.WAITING}
    first, second, third, fourth = (job.id for job in reply.jobs)
    places.capacity = 1
    bench.dispatcher.capacity_changed("python")
    assert [request.job_id for request in places.held] == [first]
    assert bench.dispatcher.cancel_job(second)
    places.answer()
    assert [request.job_id for request in places.held] == [third]
    bench.dispatcher.release_waiting()
    places.crash("killed by SIGSEGV with 1 in flight")
    await bench.settled()
    records = [await bench.record(job_id) for job_id in (first, second, third, fourth)]
    assert [(r.status, r.crash_count, r.suspect) for r in records] == [
        (JobStatus.COMPLETED, 0, False),
        (JobStatus.CANCELLED, 0, False),
        (JobStatus.PENDING, 1, True),
        (JobStatus.PENDING, 0, True),
    ]
    assert {record.current_retries for record in records} == {0}


async def test_shutdown_gives_attempts_back(bench: Bench) -> None:
    """Those that answer the cancel and those that do not are released alike."""
    reply = await take(bench, Job("a"), Job("b"))
    first, _ = await bench.runner.requests(2)
    bench.dispatcher.release_all()
    bench.runner.answer(failed(first, "cancelled", "cancelled"))
    bench.dispatcher.forget_all()
    await bench.dispatcher.drained()
    await bench.settled()
    for job in reply.jobs:
        record = await bench.record(job.id)
        assert (record.status, record.current_retries, record.crash_count) == (JobStatus.PENDING, 0, 0)
        (start,) = record.releases
        assert (start.outcome, start.message) == ("released", "its orchestrator stopped")
        assert (start.worker, start.runner, start.claim_seq) == ("o1", "python", 1)


async def test_a_claim_that_is_numbered_as_a_disowned_one_is_told_apart(bench: Bench) -> None:
    """As after a backup was put back: the end of the old attempt is not taken for the new one's (F28)."""
    reply = await take(bench, Job("a"))
    bench.dispatcher.disown_all()
    bench.dispatcher.dispatch(reply.jobs, "o2")
    old, new = await bench.runner.requests(2)
    assert (old.request_id, new.request_id) == (f"{old.job_id}.1", f"{old.job_id}.1.o2.1")
    bench.runner.answer(failed(old, "cancelled"))
    assert [attempt.owner for attempt in bench.dispatcher.attempts] == ["o2"]
    bench.runner.answer(succeeded(new))
    assert not len(bench.dispatcher.attempts)


async def test_ends_of_a_record_that_was_deleted_close_none_made_anew(bench: Bench) -> None:
    """Three times deleted under its attempt and enqueued again: each attempt has a request of its own, and
    only the end of the last one counts.
    """
    await bench.register()
    for n in range(4):
        await bench.enqueue(Job("work", job_id="x"))
        reply = await bench.run(claim(bench.keyspace, "o1", [ClaimRequest("default", "python", 1)], {}))
        bench.dispatcher.dispatch(reply.jobs, "o1")
        assert len(await bench.runner.requests(n + 1)) == n + 1
        if n < 3:
            await bench.client.delete(bench.keyspace.job("x"))
    *void, last = await bench.runner.requests(4)
    for request in void:
        bench.runner.answer(succeeded(request, b'"void"'))
    await bench.settled()
    assert bench.settler.replies == {SettleReply.STALE: 3}
    bench.runner.answer(succeeded(last, b'"last"'))
    await bench.settled()
    assert (await bench.record("x")).result == '"last"'


class Refuser(StandInRunner):
    """A runner that cannot be handed jobs of one id, in a way nobody expects."""

    def submit(self, request: WireRequest) -> None:
        if request.job_id == "bad":
            raise ProtocolError("request 'bad' is already open")
        super().submit(request)


async def test_a_job_that_cannot_be_handed_over_takes_no_other_along(bench: Bench) -> None:
    """It fails with the reason, which is told; those claimed with it run."""
    bench.runner = Refuser(bench.dispatcher)
    bench.dispatcher.connect({"python": bench.runner}, lambda: None)
    bench.dispatcher._log = structlog.get_logger()
    await bench.register()
    await bench.enqueue(*(Job("work", job_id=name, max_retries=1) for name in ("a", "bad", "z")))
    reply = await bench.run(claim(bench.keyspace, "o1", [ClaimRequest("default", "python", 3)], {}))
    with structlog.testing.capture_logs() as logged:
        bench.dispatcher.dispatch(reply.jobs, "o1")
    assert [each["job_id"] for each in logged if each["event"] == "dispatch.failed"] == ["bad"]
    assert {request.job_id for request in await bench.runner.requests(2)} == {"a", "z"}
    await bench.settled()
    record = await bench.record("bad")
    assert record.status is JobStatus.FAILED
    assert "already open" in str(record.last_error)


async def test_a_job_that_cannot_even_be_looked_at_takes_no_other_along(bench: Bench) -> None:
    """As if its way to a runner could not be found for a defect of ours: dead-lettered with the reason."""

    def confused(job: ClaimedJob) -> ClaimedJob:
        if job.id == "bad":
            raise ValueError("strange")
        return job

    bench.dispatcher._correlate = confused
    await bench.register()
    await bench.enqueue(*(Job("work", job_id=name) for name in ("a", "bad", "z")))
    reply = await bench.run(claim(bench.keyspace, "o1", [ClaimRequest("default", "python", 3)], {}))
    bench.dispatcher.dispatch(reply.jobs, "o1")
    assert {request.job_id for request in await bench.runner.requests(2)} == {"a", "z"}
    await bench.settled()
    assert (await bench.record("bad")).status is JobStatus.FAILED


async def test_a_result_over_the_limit_fails_the_job_at_once(bench: Bench) -> None:
    """The limit of payloads holds for results too (F64)."""
    reply = await take(bench, Job("a"))
    (request,) = await bench.runner.requests(1)
    bench.runner.answer(succeeded(request, b'"' + b"x" * (16 * 1024 * 1024) + b'"'))
    await bench.settled()
    record = await bench.record(reply.jobs[0].id)
    assert record.status is JobStatus.FAILED
    assert "the limit is 16777216" in (record.last_error or "")


async def test_a_second_answer_finds_nothing(bench: Bench) -> None:
    """A stray response is ignored."""
    await take(bench, Job("a"))
    (request,) = await bench.runner.requests(1)
    bench.runner.answer(succeeded(request))
    bench.dispatcher.outcome("python", failed(request))
    await bench.settled()
    assert bench.settler.passes.count == 1


async def test_a_released_job_gets_its_place_in_the_queue_back(bench: Bench) -> None:
    """A deploy does not send a job to the end of the line."""
    reply = await take(bench, Job("first"))
    await bench.runner.requests(1)
    await bench.enqueue(Job("second"))
    bench.dispatcher.forget_all()
    await bench.settled()
    order = await bench.client.zrange(bench.keyspace.queue("default"), 0, -1)
    assert order[0] == reply.jobs[0].id.encode()
