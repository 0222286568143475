"""Group commit of ended attempts."""

import asyncio

import pytest
import structlog
from msgspec.structs import replace
from redis.exceptions import ResponseError

from rrq_orchestrator.settle import Settler
from rrq_orchestrator.store import RedisLink, RedisLinks
from rrq_orchestrator.store import redis as redis_store
from rrq_protocol import Job, JobStatus, ScriptCall
from rrq_protocol.transitions import ClaimRequest, SettleKind, Settlement, SettleReply, claim
from support.orchestrating import LOG, WITHIN_S, Bench, T, until
from support.proxy import Proxy
from support.redis_servers import RedisServer

pytestmark = pytest.mark.anyio


async def claimed_settlements(bench: Bench, count: int, owner: str = "o1") -> list[Settlement]:
    await bench.register(owner)
    await bench.enqueue(*(Job("work") for _ in range(count)))
    reply = await bench.run(claim(bench.keyspace, owner, [ClaimRequest("default", "python", count)], {}))
    return [
        Settlement(j.id, j.claim_seq, SettleKind.COMPLETE, j.queue, b"1", ttl_seconds=60) for j in reply.jobs
    ]


async def test_what_gathers_is_written_in_one_call(bench: Bench) -> None:
    """A hundred ends put before the service runs cost one pass."""
    for settlement in await claimed_settlements(bench, 100):
        bench.settler.put("o1", settlement)
    await bench.settled()
    assert bench.settler.passes.count == 1
    assert bench.settler.replies == {SettleReply.OK: 100}


async def test_queues_that_suspects_go_back_to_are_noted(bench: Bench) -> None:
    """As soon as the end is put; of those that go back otherwise, or not at all, nothing is noted."""
    settlements = await claimed_settlements(bench, 4)
    kinds = (SettleKind.COMPLETE, SettleKind.RELEASE, SettleKind.SUSPECT, SettleKind.CRASH)
    for n, (settlement, kind) in enumerate(zip(settlements, kinds, strict=True)):
        bench.settler.put("o1", replace(settlement, kind=kind, queue=f"q{n}"))
    assert bench.settler.suspected == {"q2", "q3"}


async def test_batches_hold_attempts_of_one_owner_and_keep_their_order(bench: Bench) -> None:
    """After being fenced, an orchestrator still has ends of attempts claimed under its former id."""
    first, second = await claimed_settlements(bench, 1, "o1"), await claimed_settlements(bench, 1, "o2")
    bench.settler.put("o1", first[0])
    bench.settler.put("o2", second[0])
    await bench.settled()
    assert bench.settler.replies == {SettleReply.OK: 2}
    assert bench.settler.passes.count == 2


async def test_an_attempt_that_is_no_longer_ours_writes_nothing(bench: Bench) -> None:
    """A wrong token is answered with stale, a missing record with gone; neighbours are settled."""
    good, stale, gone = await claimed_settlements(bench, 3)
    await bench.client.hset(bench.keyspace.job(stale.job_id), "claim_seq", "7")
    await bench.client.delete(bench.keyspace.job(gone.job_id))
    for settlement in (stale, gone, good):
        bench.settler.put("o1", settlement)
    await bench.settled()
    assert bench.settler.replies == {SettleReply.OK: 1, SettleReply.STALE: 1, SettleReply.GONE: 1}
    assert (await bench.record(stale.job_id)).status is JobStatus.ACTIVE
    assert (await bench.record(good.job_id)).status is JobStatus.COMPLETED


async def test_an_end_that_came_too_late_is_told(bench: Bench) -> None:
    """Whoever looks for a job that ran twice finds the attempt whose end was not taken, and why."""
    stale, gone = await claimed_settlements(bench, 2)
    await bench.client.hset(bench.keyspace.job(stale.job_id), "claim_seq", "7")
    await bench.client.delete(bench.keyspace.job(gone.job_id))
    with structlog.testing.capture_logs() as logged:
        settler = Settler(bench.keyspace, bench.link, structlog.get_logger())
        for settlement in (stale, gone):
            settler.put("o1", settlement)
        running = asyncio.create_task(settler.run())
        await settler.flushed()
        running.cancel()
    told = [(each["event"], each["job_id"], each["claim_seq"]) for each in logged]
    assert told == [("settle.stale", stale.job_id, 1), ("settle.gone", gone.job_id, 1)]


async def test_what_waits_for_redis_is_known(bench: Bench) -> None:
    """Shutdown and readiness ask how much is unwritten, and of which jobs."""
    for settlement in await claimed_settlements(bench, 2):
        bench.settler.put("o1", settlement)
    assert bench.settler.waiting == 2
    assert {seq for _, seq in bench.settler.tokens()} == {1}
    assert len(bench.settler.tokens()) == 2
    assert not bench.settler.is_full
    await bench.settled()
    assert bench.settler.waiting == 0


async def test_a_call_is_bounded_in_bytes(bench: Bench) -> None:
    """Results of 400 kB go two by two; one larger than the bound goes alone, and all arrive."""
    sizes = [400_000] * 5 + [3_000_000] + [10] * 20
    for size, settlement in zip(sizes, await claimed_settlements(bench, len(sizes)), strict=True):
        bench.settler.put("o1", replace(settlement, text=b'"' + b"x" * size + b'"'))
    assert bench.settler.waiting_bytes > sum(sizes)
    await bench.settled()
    assert bench.settler.passes.count == 5
    assert bench.settler.replies == {SettleReply.OK: len(sizes)}
    assert bench.settler.waiting_bytes == 0


async def test_large_ends_that_wait_stop_new_work_as_many_do(bench: Bench) -> None:
    """Seven results of 10 MB are as much as is kept waiting for a Redis that is away."""
    large = b'"' + b"x" * 10_000_000 + b'"'
    for n in range(7):
        assert not bench.settler.is_full
        bench.settler.put("o1", Settlement(f"j{n}", 1, SettleKind.COMPLETE, "default", large))
    assert bench.settler.is_full


async def test_large_ends_pass_a_slow_link(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch takes longer than a command may, by a link that is narrow and alive: it gets through."""
    monkeypatch.setattr(redis_store, "COMMAND_TIMEOUT_S", 0.5)
    settlements = await claimed_settlements(bench, 8)
    with Proxy(bench.url) as proxy:
        links = RedisLinks(proxy.url, "test", LOG, bench.rng)
        settler = Settler(bench.keyspace, links.make("settle", reply_timeout_s=0.5), LOG)
        running = asyncio.create_task(settler.run())
        with proxy.narrow(2_000_000):
            for settlement in settlements:
                settler.put("o1", replace(settlement, text=b'"' + b"x" * 500_000 + b'"'))
            async with asyncio.timeout(WITHIN_S):
                await settler.flushed()
        running.cancel()
        await links.aclose()
    assert settler.replies[SettleReply.OK] == len(settlements)


class Refuses:
    """A connection over which calls about one job end in an error reply nobody expects, so many times."""

    def __init__(self, job_id: str, times: int, link: RedisLink) -> None:
        self._id, self._left, self._link = job_id, times, link

    async def run_until_done(self, call: ScriptCall[T]) -> T:
        if self._id in call.args and self._left:
            self._left -= 1
            raise ResponseError("ERR something new")
        return await self._link.run_until_done(call)


@pytest.mark.parametrize(("times", "written"), [(3, True), (1000, False)])
async def test_an_end_that_cannot_be_written_takes_no_other_along(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, times: int, written: bool
) -> None:
    """Its neighbours are written; it is tried again, then told and put aside. The service goes on."""
    monkeypatch.setattr("rrq_orchestrator.settle._TRY_AGAIN_S", 0.0)
    settlements = await claimed_settlements(bench, 4)
    bad, *good = settlements
    link = Refuses(bad.job_id, times, bench.links.make("settle"))
    settler = Settler(bench.keyspace, link, structlog.get_logger())  # type: ignore[arg-type]
    with structlog.testing.capture_logs() as logged:
        for each in settlements:
            settler.put("o1", each)
        running = asyncio.create_task(settler.run())
        await settler.flushed()
    assert not running.done()
    running.cancel()
    statuses = {(await bench.record(each.job_id)).status for each in good}
    assert statuses == {JobStatus.COMPLETED}
    assert ((await bench.record(bad.job_id)).status is JobStatus.COMPLETED) == written
    told = [(each["event"], each["job_id"]) for each in logged]
    assert told == ([] if written else [("settle.failed", bad.job_id)])


async def test_ends_outlive_an_outage_of_redis(bench: Bench, own_redis: RedisServer) -> None:
    """Nothing is lost and nothing is written twice when Redis is away while a batch waits, and more gather
    behind it."""
    there = Bench(own_redis.url, bench.keyspace, bench.client)
    *settlements, late = await claimed_settlements(there, 4)
    settler = Settler(there.keyspace, there.link, LOG)
    own_redis.stop()
    for settlement in settlements:
        settler.put("o1", settlement)
    running = asyncio.create_task(settler.run())
    await until(lambda: not there.links.connected)
    settler.put("o1", late)
    assert settler.waiting == 4
    own_redis.start()
    await settler.flushed()
    running.cancel()
    assert settler.replies == {SettleReply.OK: 4}
    await there.aclose()
