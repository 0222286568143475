"""Broken indexes are put right after two looks, two leases apart."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import redis
import redis.asyncio
import structlog

from rrq_orchestrator.audit import Finding, Rules
from rrq_orchestrator.reconciler import Reconciler, Suspicions
from rrq_protocol import Job, JobStatus, Keyspace, ManualClock
from rrq_protocol.transitions import ClaimRequest, Evidence, Repair, RepairKind, claim
from support.audit import audit
from support.orchestrating import LOG, Bench
from support.redis_servers import RedisServer

pytestmark = pytest.mark.anyio
LEASE_S = 10.0


class Case:
    """A running reconciler whose time the test moves; ``events`` is its log."""

    def __init__(self, bench: Bench, clock: ManualClock) -> None:
        self.events: list[dict[str, Any]] = []
        self.clock = clock
        log = structlog.wrap_logger(structlog.PrintLogger(), processors=[self._keep])
        self.service = Reconciler(
            keyspace=bench.keyspace,
            link=bench.links.make("reconciler"),
            rules=Rules(),
            lease_s=LEASE_S,
            interval_s=0.001,
            clock=clock,
            rng=bench.rng,
            log=log,
        )

    def _keep(self, _: object, __: str, event: Any) -> Any:
        self.events.append(dict(event))
        raise structlog.DropEvent

    async def looks(self, seconds: float = 0.0) -> None:
        """Let time pass, then wait for a whole look and what follows from it."""
        self.clock.advance(seconds)
        await self.service.passes.next(2)


@asynccontextmanager
async def reconciling(bench: Bench) -> AsyncIterator[Case]:
    """Run a reconciler."""
    case = Case(bench, ManualClock())
    task = asyncio.create_task(case.service.run())
    try:
        yield case
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def lose_the_indexes(bench: Bench) -> list[str]:
    """Have one job wait, one run, one end; then delete every index. Return their ids."""
    await bench.register("o1")
    ids = await bench.enqueue(*(Job("work") for _ in range(3)))
    await bench.run(claim(bench.keyspace, "o1", [ClaimRequest("default", "python", 1)], {}))
    for key in (bench.keyspace.queue("default"), bench.keyspace.active("o1"), bench.keyspace.queues):
        await bench.client.delete(key)
    return ids


async def test_lost_indexes_are_made_again(bench: Bench, redis_client: "redis.Redis") -> None:
    """After a flush of queue and active set every job is where its record says; each repair is an event."""
    ids = await lose_the_indexes(bench)
    async with reconciling(bench) as case:
        await case.looks()
        assert case.service.repaired == 0
        await case.looks(2 * LEASE_S - 0.1)
        assert case.service.repaired == 0
        await case.looks(0.1)
        assert case.service.repaired == 3
    assert audit(redis_client, bench.keyspace) == ()
    told = {event["job_id"]: event for event in case.events}
    assert set(told) == set(ids)
    event = told[ids[0]]
    assert (event["event"], event["repair"], event["invariant"]) == ("job.repaired", "owner", "I1")
    assert (event["status"], event["worker_id"], event["claim_seq"]) == ("ACTIVE", "o1", "1")
    assert event["key"] == bench.keyspace.job(ids[0])
    assert (await bench.record(ids[1])).status is JobStatus.PENDING


async def test_a_foreign_record_stops_no_repair(bench: Bench) -> None:
    """Whatever stands in its fields, more digits than Python reads included: the others are put right."""
    await lose_the_indexes(bench)
    many: dict[Any, Any] = {
        "status": "COMPLETED",
        "id": "bad",
        "function_name": "f",
        "enqueue_time": "2026-01-01T00:00:00Z",
    }
    many |= dict.fromkeys(("current_retries", "max_retries", "crash_count", "claim_seq"), "9" * 4301)
    await bench.client.hset(bench.keyspace.job("bad"), mapping=many)
    async with reconciling(bench) as case:
        await case.looks()
        await case.looks(2 * LEASE_S)
        assert case.service.repaired == 3


async def test_a_list_of_the_living_of_another_type_stops_no_repair(bench: Bench) -> None:
    """What does not need it is put right: the jobs that wait, and the one that runs."""
    ids = await lose_the_indexes(bench)
    await bench.client.delete(bench.keyspace.workers)
    await bench.client.set(bench.keyspace.workers, "spoilt")
    async with reconciling(bench) as case:
        await case.looks()
        await case.looks(2 * LEASE_S)
        assert {event["job_id"] for event in case.events} == set(ids)


async def test_unique_keys_of_jobs_that_go_on_last(bench: Bench) -> None:
    """A job in a queue that nobody works off keeps its unique key, look by look; that is no repair."""
    await bench.enqueue(Job("work", unique_key="u"))
    key = bench.keyspace.idempotency("u")
    await bench.client.pexpire(key, 60_000)
    async with reconciling(bench) as case:
        await case.looks()
    assert await bench.client.pttl(key) > 3_600_000
    assert (case.service.repaired, case.events) == (0, [])


async def test_a_job_that_moved_meanwhile_is_left_alone(bench: Bench) -> None:
    """Other evidence in the second look begins the wait anew."""
    (job_id,) = await bench.enqueue(Job("work"))
    await bench.client.delete(bench.keyspace.queue("default"))
    async with reconciling(bench) as case:
        await case.looks()
        await bench.client.hset(bench.keyspace.job(job_id), "claim_seq", "7")
        await case.looks(3 * LEASE_S)
        assert case.service.repaired == 0
        await case.looks(2 * LEASE_S)
        assert case.service.repaired == 1


async def test_several_reconcilers_repair_once(bench: Bench, redis_client: "redis.Redis") -> None:
    """What one has put right the others find in order; the counts add up to the faults."""
    await lose_the_indexes(bench)
    async with reconciling(bench) as one, reconciling(bench) as two:
        for case in (one, two):
            await case.looks()
        for case in (one, two):
            case.clock.advance(3 * LEASE_S)
        for case in (one, two):
            await case.looks()
        assert one.service.repaired + two.service.repaired == 3
    assert audit(redis_client, bench.keyspace) == ()


async def test_orphans_are_taken_back(bench: Bench) -> None:
    """Jobs of an orchestrator in neither list are given to the janitors, who charge a crash (T7)."""
    await bench.register("o1")
    await bench.enqueue(Job("work"))
    await bench.run(claim(bench.keyspace, "o1", [ClaimRequest("default", "python", 1)], {}))
    await bench.client.delete(bench.keyspace.workers, bench.keyspace.health("o1"))
    async with reconciling(bench) as case:
        await case.looks()
        await case.looks(3 * LEASE_S)
        assert [event["repair"] for event in case.events] == ["reap"]
        assert case.events[0]["job_id"] is None
    assert await bench.client.zscore(bench.keyspace.reaping, "o1") is not None


async def test_an_outage_is_survived_and_proves_nothing(own_redis: RedisServer, keyspace: Keyspace) -> None:
    """While Redis is away nothing is concluded; what was seen before it has to be seen twice again."""
    async with redis.asyncio.Redis.from_url(own_redis.url) as client:
        bench = Bench(own_redis.url, keyspace, client)
        await bench.enqueue(Job("work"))
        await client.delete(keyspace.queue("default"))
        async with reconciling(bench) as case:
            await case.looks()
            own_redis.stop()
            await case.looks()
            own_redis.start()
            await case.looks(3 * LEASE_S)
            assert case.service.repaired == 0
            await case.looks(3 * LEASE_S)
            assert case.service.repaired == 1
        await bench.aclose()


async def test_missing_rights_are_told_once(own_redis: RedisServer, keyspace: Keyspace) -> None:
    """A user who may not look is told by one event; the service goes on and works once it may."""
    async with redis.asyncio.Redis.from_url(own_redis.url) as client:
        await client.acl_setuser("narrow", enabled=True, nopass=True, keys=["*"], commands=["+ping"])
        url = own_redis.url.replace("redis://", "redis://narrow:any@")
        bench = Bench(url, keyspace, client)
        async with reconciling(bench) as case:
            await case.looks()
            await case.looks()
            (event,) = case.events
            assert (event["event"], event["command"]) == ("reconciler.refused", "SCAN")
        await bench.aclose()


async def test_it_can_be_switched_off(bench: Bench) -> None:
    """An interval of 0 looks never."""
    service = Reconciler(
        keyspace=bench.keyspace, link=bench.links.make("reconciler"), rules=Rules(), lease_s=1, interval_s=0,
        clock=ManualClock(), rng=bench.rng, log=LOG,
    )  # fmt: skip
    await service.run()
    assert service.passes.count == 0


def fault(job_id: str, kind: RepairKind | None = RepairKind.QUEUE) -> Finding:
    """Return a finding."""
    repair = None if kind is None else Repair(kind, job_id)
    return Finding(rule="I1", key="k", expected="a", found="b", job_id=job_id, repair=repair)


def test_suspicions_grow_old_only_while_they_last() -> None:
    """A fault is due two leases after it was first seen, unless a look in between did not find it."""
    suspicions = Suspicions(20.0)
    suspicions.saw([fault("a"), fault("b"), fault("c", None)], 0.0)
    assert len(suspicions) == 2
    suspicions.saw([fault("a")], 10.0)
    suspicions.saw([fault("a"), fault("b")], 15.0)
    assert suspicions.take_due(19.9) == ()
    assert suspicions.take_due(20.0) == (fault("a"),)
    assert len(suspicions) == 1
    suspicions.clear()
    assert suspicions.take_due(99.0) == ()


ALIKE: list[tuple[str, Callable[[Finding], Finding]]] = [
    ("rule", lambda f: changed(f, rule="I2")),
    ("key", lambda f: changed(f, key="other")),
    ("found", lambda f: changed(f, found="other")),
    ("evidence", lambda f: changed(f, evidence=Evidence("ACTIVE"))),
]


def changed(finding: Finding, **changes: Any) -> Finding:
    """Return a finding that differs."""
    return msgspec.structs.replace(finding, **changes)


@pytest.mark.parametrize(("what", "change"), ALIKE, ids=[name for name, _ in ALIKE])
def test_only_the_same_fault_confirms(what: str, change: Callable[[Finding], Finding]) -> None:
    """A finding of another rule, place, kind or evidence is another fault."""
    suspicions = Suspicions(20.0)
    suspicions.saw([fault("a")], 0.0)
    suspicions.saw([change(fault("a"))], 30.0)
    assert suspicions.take_due(30.0) == (), what
