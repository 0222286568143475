"""Taking jobs back from an orchestrator that died."""

import asyncio
from typing import Any

import pytest
import structlog
from redis.exceptions import ResponseError

from rrq_orchestrator import recovery
from rrq_orchestrator.recovery import Janitor
from rrq_orchestrator.store import RedisLink
from rrq_protocol import Job, JobStatus, ManualClock, ScriptCall
from rrq_protocol.transitions import ClaimRequest, RecoveryPolicy, claim, fence
from support.orchestrating import LOG, Bench, T
from support.redis_servers import RedisServer

pytestmark = pytest.mark.anyio


def janitor(bench: Bench, clock: ManualClock) -> Janitor:
    return Janitor(
        keyspace=bench.keyspace,
        link=bench.links.make("recovery"),
        links=bench.links,
        policy=RecoveryPolicy(),
        lease_s=0.2,
        beat_s=0.05,
        clock=clock,
        rng=bench.rng,
        log=LOG,
    )


async def test_a_silent_orchestrator_is_fenced_and_its_jobs_are_given_back(bench: Bench) -> None:
    """Two looks, a lease apart by the observer's own clock, at a row that does not change."""
    await bench.register("dead")
    ids = await bench.enqueue(*(Job("work") for _ in range(150)))
    await bench.run(claim(bench.keyspace, "dead", [ClaimRequest("default", "python", 150)], {}))
    clock = ManualClock()
    service = janitor(bench, clock)
    running = asyncio.create_task(service.run())
    await service.passes.next()
    assert (await bench.record(ids[0])).status is JobStatus.ACTIVE
    clock.advance(1.0)
    await service.passes.next()
    assert service.recovered == 150
    record = await bench.record(ids[0])
    assert (record.status, record.crash_count, record.worker_id) == (JobStatus.PENDING, 1, None)
    assert await bench.client.zcard(bench.keyspace.reaping) == 0
    running.cancel()


async def test_what_another_janitor_began_is_finished(bench: Bench) -> None:
    """Fenced by somebody who died right after: the row in `reaping` is enough."""
    await bench.register("dead")
    (job_id,) = await bench.enqueue(Job("work"))
    await bench.run(claim(bench.keyspace, "dead", [ClaimRequest("default", "python", 1)], {}))
    lease = await bench.client.zscore(bench.keyspace.workers, "dead")
    assert await bench.run(fence(bench.keyspace, "dead", lease or 0))
    service = janitor(bench, ManualClock())
    running = asyncio.create_task(service.run())
    await service.passes.next()
    assert (await bench.record(job_id)).status is JobStatus.PENDING
    running.cancel()


async def test_nobody_is_called_dead_for_an_outage(
    bench: Bench, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While Redis is away nobody can beat, so silence counts from its return on: no storm of recoveries
    (F25)."""
    monkeypatch.setattr(recovery, "_LOOK_EVERY_S", 0.01)
    there = Bench(own_redis.url, bench.keyspace, bench.client)
    await there.register("quiet")
    clock = ManualClock()
    service = janitor(there, clock)
    running = asyncio.create_task(service.run())
    await service.passes.next()
    own_redis.stop()
    await service.passes.next(2)
    clock.advance(1.0)
    own_redis.start()
    await there.link.until_done(lambda: there.link.command("PING"))
    await service.passes.next(2)
    assert await there.link.command("ZSCORE", there.keyspace.workers, "quiet") is not None
    clock.advance(1.0)
    await service.passes.next(2)
    assert await there.link.command("ZSCORE", there.keyspace.workers, "quiet") is None
    running.cancel()
    await there.aclose()


async def test_one_whose_keys_are_unusable_holds_up_no_other(bench: Bench) -> None:
    """A call that fails for the first of the dead is told once, and the next one's jobs come back (F40)."""
    for dead in ("a", "b"):
        await bench.register(dead)
        await bench.enqueue(Job("work", job_id=f"of-{dead}"))
        await bench.run(claim(bench.keyspace, dead, [ClaimRequest("default", "python", 1)], {}))
        assert await bench.run(fence(bench.keyspace, dead, await lease(bench, dead)))
    service = janitor(bench, ManualClock())
    service._log = structlog.get_logger()
    service._link = FailsFor("a", service._link)  # type: ignore[assignment]
    with structlog.testing.capture_logs() as logged:
        running = asyncio.create_task(service.run())
        await service.passes.next(3)
    assert (await bench.record("of-b")).status is JobStatus.PENDING
    assert (await bench.record("of-a")).status is JobStatus.ACTIVE
    told = [(each["event"], each["orchestrator"]) for each in logged]
    assert told == [("jobs.not_recovered", "a"), ("jobs.recovered", "b")]
    running.cancel()


async def lease(bench: Bench, orchestrator_id: str) -> float:
    score = await bench.client.zscore(bench.keyspace.workers, orchestrator_id)
    assert score is not None
    return score


class FailsFor:
    """A connection over which calls about one orchestrator end in an error reply nobody expects."""

    def __init__(self, orchestrator_id: str, link: RedisLink) -> None:
        self._id, self._link = orchestrator_id, link

    async def run(self, call: ScriptCall[T]) -> T:
        if self._id in call.args:
            raise ResponseError("ERR something new")
        return await self._link.run(call)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)
