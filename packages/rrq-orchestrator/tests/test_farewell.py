"""What is told to Redis at the end, and how long that may take."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import redis.asyncio
import structlog
from structlog.testing import capture_logs

from rrq_orchestrator.claim import ClaimPlan
from rrq_orchestrator.farewell import Farewell, StopRequest
from rrq_orchestrator.heartbeat import Heartbeat, HeartbeatTimes
from rrq_orchestrator.waker import Waker
from rrq_protocol import Job, Keyspace
from rrq_protocol.transitions import ClaimRequest, SettleKind, Settlement, claim
from support.claiming import claim_loop
from support.orchestrating import LOG, Bench
from support.redis_servers import RedisServer

pytestmark = pytest.mark.anyio


class Leaving:
    """The parts an orchestrator has left when its runners are gone, on a Redis of its own."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.stop = bench, StopRequest()
        heartbeat = Heartbeat(
            keyspace=bench.keyspace,
            url=bench.url,
            times=HeartbeatTimes(lease_s=10.0, beat_s=0.05),
            report=lambda _: b"{}",
            on_fenced=lambda _: None,
            links=bench.links,
            log=LOG,
        )
        waker = Waker(bench.keyspace, bench.link, bench.links, lambda _: None)
        plan, link = ClaimPlan({"default": 1}), bench.links.make("claim")
        self.claims = claim_loop(bench, plan, link, heartbeat, waker)
        self.farewell = Farewell(
            settler=bench.settler,
            claims=self.claims,
            heartbeat=heartbeat,
            links=bench.links,
            link=bench.link,
            log=structlog.get_logger(),
        )
        self.heartbeat = heartbeat
        self.tasks = [asyncio.create_task(run()) for run in (heartbeat.run, bench.settler.run)]

    async def attempt(self) -> Settlement:
        """Have a job claimed; return its end, for :meth:`owe`."""
        bench = self.bench
        await bench.register()
        await bench.enqueue(Job("work"))
        (job,) = (
            await bench.run(claim(bench.keyspace, "o1", [ClaimRequest("default", "python", 1)], {}))
        ).jobs
        return Settlement(job.id, job.claim_seq, SettleKind.COMPLETE, "default", b"null")

    def owe(self, end: Settlement) -> None:
        """Have an end that Redis was not told of."""
        self.bench.settler.put("o1", end)

    async def take(self, grace_left_s: float = 0.0) -> tuple[bool, float]:
        """Return what came of it, and how long it took."""
        began_s = time.monotonic()
        return await self.farewell.take(self.stop, grace_left_s), time.monotonic() - began_s


@pytest.fixture
async def leaving(own_redis: RedisServer, keyspace: Keyspace) -> AsyncIterator[Leaving]:
    """Serve one that is registered."""
    client = redis.asyncio.Redis.from_url(own_redis.url)
    bench = Bench(own_redis.url, keyspace, client)
    made = Leaving(bench)
    await made.heartbeat.registered()
    yield made
    for task in made.tasks:
        task.cancel()
    await made.heartbeat.stopped()
    await bench.aclose()
    await client.aclose()


async def test_all_is_told_and_the_row_is_gone(leaving: Leaving) -> None:
    """Nothing is owed any more, and nobody has to wait for a lease to lapse."""
    leaving.owe(await leaving.attempt())
    owed = [leaving.farewell.is_owed]
    assert (await leaving.take())[0]
    assert [*owed, leaving.farewell.is_owed] == [True, False]
    assert await leaving.bench.client.zrange(leaving.bench.keyspace.workers, 0, -1) == [b"o1"]


async def test_without_redis_and_without_a_job_to_tell_of_it_is_short(
    leaving: Leaving, own_redis: RedisServer
) -> None:
    """The row lapses by itself: no work is abandoned."""
    own_redis.stop()
    leaving.bench.links.lost("test", "gone")
    with capture_logs() as logged:
        ended_well, took_s = await leaving.take()
    assert (ended_well, took_s < 3) == (True, True)
    assert [entry["event"] for entry in logged] == ["orchestrator.stopped"]
    assert logged[0]["still_registered"]
    own_redis.start()


async def test_a_claim_without_an_answer_is_owed_an_end(leaving: Leaving, own_redis: RedisServer) -> None:
    """Its jobs may be ours; a hurry leaves two seconds to find out."""
    own_redis.stop()
    leaving.claims.in_doubt = True
    leaving.stop.ask()
    taking = asyncio.create_task(leaving.take())
    await asyncio.sleep(0.1)
    assert not taking.done()
    leaving.stop.ask()
    with capture_logs() as logged:
        ended_well, took_s = await taking
    assert (ended_well, took_s < 4) == (False, True)
    assert [entry["event"] for entry in logged] == ["orchestrator.abandoned"]
    own_redis.start()


async def test_a_server_that_refuses_writes_gets_what_is_left_of_the_grace(leaving: Leaving) -> None:
    """It is not about to come back; half a second at least."""
    end = await leaving.attempt()
    await leaving.bench.link.command("REPLICAOF", "127.0.0.1", "1")
    leaving.owe(end)
    while not leaving.bench.links.refuses_writes:  # noqa: ASYNC110 - the log tells nobody here
        await asyncio.sleep(0.01)
    ended_well, took_s = await leaving.take(grace_left_s=-3)
    assert not ended_well
    assert 0.4 < took_s < 3
    await leaving.bench.link.command("REPLICAOF", "NO", "ONE")


async def test_work_that_is_waited_for_is_cancelled_when_its_time_is_over() -> None:
    """Or when there is a hurry; both leave no task behind."""
    stop = StopRequest()
    for ends in ("time", "hurry"):
        work = asyncio.ensure_future(asyncio.Event().wait())
        if ends == "hurry":
            asyncio.get_running_loop().call_later(0.01, stop.ask)
            stop.ask()
        await stop.within(0.01 if ends == "time" else 600, work)
        await asyncio.sleep(0)
        assert work.cancelled()
