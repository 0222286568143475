"""Requests on the control list."""

import asyncio
from collections.abc import Callable

import pytest

from rrq_orchestrator.control import Control
from rrq_protocol import Job, JobStatus
from rrq_protocol.transitions import CancelReply, ClaimRequest, DrainReply, cancel, claim, drain
from support.orchestrating import LOG, Bench, failed

pytestmark = pytest.mark.anyio


class Registered:
    """A membership that needs no heartbeat."""

    orchestrator_id = "o1"

    async def registered(self) -> None:
        return None


def control(bench: Bench, drain: Callable[[], None] = lambda: None) -> Control:
    return Control(
        keyspace=bench.keyspace,
        link=bench.links.make("control"),
        links=bench.links,
        membership=Registered(),
        dispatcher=bench.dispatcher,
        drain=drain,
        log=LOG,
    )


async def test_cancel_of_a_running_job_goes_all_the_way(bench: Bench) -> None:
    """Request in Redis, control list, cancel frame, answer, CANCELLED."""
    await bench.register()
    (job_id,) = await bench.enqueue(Job("work"))
    reply = await bench.run(claim(bench.keyspace, "o1", [ClaimRequest("default", "python", 1)], {}))
    bench.dispatcher.dispatch(reply.jobs, "o1")
    (request,) = await bench.runner.requests(1)
    service = control(bench)
    running = asyncio.create_task(service.run())
    assert await bench.run(cancel(bench.keyspace, job_id)) is CancelReply.REQUESTED
    await service.passes.next()
    assert bench.runner.cancelled == [request.request_id]
    bench.runner.answer(failed(request, "cancelled", "cancelled"))
    await bench.settled()
    assert (await bench.record(job_id)).status is JobStatus.CANCELLED
    running.cancel()


async def test_a_request_that_was_lost_on_its_way_is_found_again(bench: Bench) -> None:
    """A connection may break after Redis gave the request away; the job is cancelled all the same."""
    await bench.register()
    (job_id, other) = await bench.enqueue(Job("work"), Job("other"))
    reply = await bench.run(claim(bench.keyspace, "o1", [ClaimRequest("default", "python", 2)], {}))
    bench.dispatcher.dispatch(reply.jobs, "o1")
    requests = {each.job_id: each.request_id for each in await bench.runner.requests(2)}
    service = control(bench)
    running = asyncio.create_task(service.run())
    try:
        blocked = [c for c in await bench.client.client_list() if c["cmd"] == "blpop"]
        while not blocked:
            blocked = [c for c in await bench.client.client_list() if c["cmd"] == "blpop"]
        # The reader goes away together with the request.
        await bench.client.hset(bench.keyspace.job(job_id), "cancel_requested_at", "2026-01-01T00:00:00Z")
        for each in blocked:
            await bench.client.client_kill_filter(_id=each["id"])
        await service.passes.next(2)
        assert bench.runner.cancelled == [requests[job_id]]
        assert (await bench.record(other)).cancel_requested_at is None
    finally:
        running.cancel()


async def test_requests_nobody_understands_are_passed_over(bench: Bench) -> None:
    """Garbage on the list, or a request of a later version, stops nothing."""
    service = control(bench)
    key = bench.keyspace.control("o1")
    await bench.client.rpush(
        key, "cancel", "cancel j x", "explode now", b"\xff\xfe", f"cancel j {'9' * 5000}", "cancel j 1"
    )
    running = asyncio.create_task(service.run())
    await service.passes.next(6)
    assert await bench.client.llen(key) == 0
    running.cancel()


async def test_a_record_that_became_something_else_keeps_no_request_from_being_heard(bench: Bench) -> None:
    """After a break, the records of all attempts are asked; one is a string by now, the next is cancelled
    (F40).
    """
    await bench.register()
    spoilt, asked = await bench.enqueue(Job("work"), Job("work"))
    reply = await bench.run(claim(bench.keyspace, "o1", [ClaimRequest("default", "python", 2)], {}))
    bench.dispatcher.dispatch(reply.jobs, "o1")
    await bench.client.delete(bench.keyspace.job(spoilt))
    await bench.client.set(bench.keyspace.job(spoilt), "x")
    await bench.client.hset(bench.keyspace.job(asked), "cancel_requested_at", "2026-01-01T00:00:00Z")
    service = control(bench)
    await service._catch_up()
    assert bench.runner.cancelled == [f"{asked}.1"]


async def test_a_drain_is_passed_on(bench: Bench) -> None:
    """The request of `rrq worker drain` asks this orchestrator to stop; what is no request does not."""
    await bench.register()
    asked: list[str] = []
    service = control(bench, lambda: asked.append("drain"))
    running = asyncio.create_task(service.run())
    link = bench.links.make("operator")
    await link.command("RPUSH", bench.keyspace.control("o1"), "drain now")
    await service.passes.next()
    assert asked == []
    assert await bench.run(drain(bench.keyspace, "o1")) is DrainReply.ASKED
    await service.passes.next()
    assert asked == ["drain"]
    running.cancel()
