"""The cron service on a real Redis, in virtual time: each tick once, whoever dies when (F51, F52, F54)."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import redis.asyncio
import structlog

from rrq_orchestrator.cron.entries import cron_entries
from rrq_orchestrator.cron.service import Cron
from rrq_orchestrator.errors import RedisGone
from rrq_protocol import ManualClock
from rrq_protocol.settings import parse_settings
from rrq_protocol.transitions import ClaimRequest, SettleKind, Settlement, claim, settle
from support.orchestrating import LOG, WITHIN_S, Bench
from support.redis_servers import RedisServer

pytestmark = pytest.mark.anyio
NOON_MS = 1_767_268_800_000
HOUR_MS = 3_600_000


def cron(bench: Bench, *jobs: dict[str, Any], log: Any = LOG, **more: Any) -> Cron:
    """Return the service of one orchestrator with these entries."""
    given = [
        {"function_name": f"f{index}", "schedule": "* * * * * *", **job} for index, job in enumerate(jobs)
    ]
    return Cron(
        cron_entries(parse_settings({"cron_jobs": given}))[0],
        keyspace=bench.keyspace,
        link=bench.links.make("cron"),
        links=bench.links,
        clock=more.pop("clock", ManualClock()),
        log=log,
        **more,
    )


async def fired(bench: Bench, entry: str = "f0", queue: str = "default") -> list[int]:
    """Return the ticks of which jobs are in a queue, in its order, in seconds after noon."""
    entries: list[Any] = await bench.client.zrange(bench.keyspace.queue(queue), 0, -1)
    ids = [each.decode() for each in entries]
    return [
        round(datetime.strptime(each.rpartition(":")[2], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp())
        - NOON_MS // 1000
        for each in ids
        if each.startswith(f"cron:{entry}:")
    ]


@contextlib.contextmanager
def dying(service: Cron, *, sent: bool) -> Any:
    """Have the orchestrator die as it enqueues: before it has sent the call, or before it has the answer."""
    link: Any = service._link
    run: Callable[[Any], Any] = link.run

    async def die(call: Any) -> Any:
        if call.script == "enqueue":
            if sent:
                await run(call)
            raise RedisGone("test", "died")
        return await run(call)

    link.run = die
    try:
        with contextlib.suppress(RedisGone):
            yield
    finally:
        link.run = run


async def test_each_tick_has_one_job_over_all_orchestrators(bench: Bench) -> None:
    """Five of them, all looking at every tick."""
    services = [cron(bench, {}, {"schedule": "*/2 * * * * *"}) for _ in range(5)]
    for second in range(7):
        await asyncio.gather(*(service.fire_due(NOON_MS + second * 1000) for service in services))
    assert await fired(bench, "f0") == [1, 2, 3, 4, 5, 6]
    assert await fired(bench, "f1") == [2, 4, 6]
    assert sum(service.fired for service in services) == 9


async def test_any_deaths_at_any_point_lose_and_double_nothing(bench: Bench, rng: random.Random) -> None:
    """Orchestrators look at random times, die before or after they have enqueued, and are replaced; jobs run
    and vanish. Over all of it each tick is fired once."""
    services = [cron(bench, {"missed": "all"}) for _ in range(3)]
    await services[0].fire_due(NOON_MS)
    now_ms, seen = NOON_MS, set[int]()
    for _ in range(150):
        now_ms += rng.choice((0, 1, 300, 1000, 2500, 14_000))
        index = rng.randrange(3)
        match rng.randrange(4):
            case 0:
                with dying(services[index], sent=rng.random() < 0.5):
                    await services[index].fire_due(now_ms)
                services[index] = cron(bench, {"missed": "all"})
            case 1:
                await asyncio.gather(*(service.fire_due(now_ms) for service in services))
            case _:
                await services[index].fire_due(now_ms)
        if rng.random() < 0.2:
            ticks = await fired(bench)
            assert seen.isdisjoint(ticks)
            seen |= set(ticks)
            gone: list[Any] = await bench.client.zrange(bench.keyspace.queue("default"), 0, -1)
            for job_id in gone:
                await bench.client.delete(bench.keyspace.job(job_id.decode()))
            await bench.client.delete(bench.keyspace.queue("default"))
    await services[0].fire_due(now_ms)
    ticks = await fired(bench)
    assert len(ticks) == len(set(ticks))
    assert seen.isdisjoint(ticks)
    assert seen | set(ticks) == set(range(1, (now_ms - NOON_MS) // 1000 + 1))


async def test_an_entry_that_was_seen_misses_no_tick(bench: Bench) -> None:
    """All die before its first tick: those who come later know since when it counts. One that is new to all
    is fired from now on."""
    hourly = {"schedule": "@hourly"}
    await cron(bench, hourly).fire_due(NOON_MS + 1)
    await cron(bench, hourly, {"schedule": "@hourly"}).fire_due(NOON_MS + 2 * HOUR_MS + 60_000)
    assert await fired(bench, "f0") == [7200]
    assert await fired(bench, "f1") == []


@pytest.mark.parametrize(("policy", "expected"), [("skip", []), ("last", [540]), ("all", [420, 480, 540])])
async def test_missed_ticks_follow_the_policy(bench: Bench, policy: str, expected: list[int]) -> None:
    """Ten minutes without anybody (F54); it is told once, whoever looks how often."""
    log: Any = structlog.testing.CapturingLogger()
    entry = {"schedule": "* * * * *", "missed": policy, "max_catch_up": 3}
    await cron(bench, entry).fire_due(NOON_MS)
    service = cron(bench, entry, log=structlog.wrap_logger(log, processors=[]))
    for _ in range(3):
        await service.fire_due(NOON_MS + 595_000)
    assert await fired(bench) == expected
    missed = [call.kwargs for call in log.calls if call.kwargs["event"] == "cron.missed"]
    assert [each["made_up_for"] for each in missed] == [len(expected)]
    # One unit: what is left out lies behind the last tick that was fired.
    assert all(each["latest_ms"] > each["since_ms"] for each in missed)
    assert all("latest" not in each for each in missed)


async def test_many_missed_ticks_go_in_pieces(bench: Bench) -> None:
    """Somebody who dies in between leaves the rest to the next one."""
    entry = {"missed": "all", "max_catch_up": 250}
    await cron(bench, entry).fire_due(NOON_MS)
    await cron(bench, entry).fire_due(NOON_MS + 1000_000)
    assert sorted(await fired(bench)) == list(range(740, 1001))


async def test_a_changed_schedule_makes_up_for_nothing(bench: Bench) -> None:
    """Two orchestrators with other settings, as in a deploy, fire each their own; none waits."""
    old = cron(bench, {"schedule": "@hourly", "missed": "all"})
    await old.fire_due(NOON_MS)
    new = cron(bench, {"schedule": "*/30 * * * *", "missed": "all"})
    await new.fire_due(NOON_MS + HOUR_MS - 60_000)
    assert await fired(bench) == []
    await old.fire_due(NOON_MS + HOUR_MS)
    await new.fire_due(NOON_MS + HOUR_MS)
    await new.fire_due(NOON_MS + HOUR_MS + HOUR_MS // 2)
    assert await fired(bench) == [3600, 5400]


async def test_a_clock_that_is_set_back_fires_nothing_twice(bench: Bench) -> None:
    """And one that is set forward leaves ticks out as if nobody had been there."""
    service = cron(bench, {"schedule": "* * * * *"})
    for at_ms in (0, 60_000, 60_000 - HOUR_MS, 120_000, HOUR_MS, 180_000, HOUR_MS + 60_000):
        await service.fire_due(NOON_MS + at_ms)
    assert await fired(bench) == [60, 120, 3600, 3660]


@pytest.mark.parametrize("skipping", [{"overlap": "skip"}, {"unique": True}])
async def test_an_entry_that_must_not_overlap_waits_for_its_job(
    bench: Bench, skipping: dict[str, Any]
) -> None:
    """Ticks that come while the job has not ended are passed over, also by another orchestrator."""
    await bench.register("o1")
    services = [cron(bench, skipping) for _ in range(2)]
    for second in range(3):
        for service in services:
            await service.fire_due(NOON_MS + second * 1000)
    assert await fired(bench) == [1]
    (job,) = (await bench.run(claim(bench.keyspace, "o1", [ClaimRequest("default", "python", 9)], {}))).jobs
    await services[0].fire_due(NOON_MS + 3000)
    assert await fired(bench) == []
    end = Settlement(job.id, job.claim_seq, SettleKind.COMPLETE, job.queue, "null", ttl_seconds=60)
    await bench.run(settle(bench.keyspace, "o1", [end]))
    for service in services:
        await service.fire_due(NOON_MS + 4000)
    assert await fired(bench) == [4]


async def test_two_entries_of_one_function_are_two(bench: Bench) -> None:
    """Each has its ticks and its unique key (U22)."""
    twice = [{"function_name": "f", "name": name, "overlap": "skip"} for name in ("a", "b")]
    service = cron(bench, *twice)
    await service.fire_due(NOON_MS)
    await service.fire_due(NOON_MS + 1000)
    assert (await fired(bench, "a"), await fired(bench, "b")) == ([1], [1])


async def test_what_cannot_be_fired_stops_no_other(bench: Bench) -> None:
    """An entry's key, or a queue, of the wrong type: told, tried again, the others go on (F40)."""
    log: Any = structlog.testing.CapturingLogger()
    await bench.client.set(bench.keyspace.cron("f0"), "x")
    await bench.client.set(bench.keyspace.queue("bad"), "x")
    service = cron(bench, {}, {"queue_name": "bad"}, {}, log=structlog.wrap_logger(log, processors=[]))
    await service.fire_due(NOON_MS)
    await service.fire_due(NOON_MS + 1000)
    assert await fired(bench, "f2") == [1]
    assert {call.kwargs["event"] for call in log.calls if call.method_name == "error"} == {
        "cron.unusable_key",
        "cron.not_fired",
    }
    await bench.client.delete(bench.keyspace.cron("f0"), bench.keyspace.queue("bad"))
    await service.fire_due(NOON_MS + 2000)
    await service.fire_due(NOON_MS + 3000)
    assert await fired(bench, "f0") == [3]
    assert await fired(bench, "f1", "bad") == [1, 2, 3]


async def test_a_missing_right_holds_up_one_queue(own_redis: RedisServer, bench: Bench) -> None:
    """Entries of other queues are fired, though all are asked for in one call."""
    there = Bench(own_redis.url, bench.keyspace, bench.client)
    prefix = bench.keyspace.prefix
    kinds = ("cron", "job", "stats", "wake")
    rules = ["on", ">secret", "+@all", *(f"~{prefix}:{kind}:*" for kind in kinds)]
    rules += [f"~{prefix}:queue:default", f"~{prefix}:queues"]
    await there.link.command("ACL", "SETUSER", "few", *rules)
    few = Bench(own_redis.url.replace("://", "://few:secret@"), bench.keyspace, bench.client)
    service = cron(few, {}, {"queue_name": "other"}, {})
    for second in range(3):
        await service.fire_due(NOON_MS + second * 1000)
    async with redis.asyncio.Redis.from_url(own_redis.url) as client:
        held = Bench(own_redis.url, bench.keyspace, client)
        assert [await fired(held, entry) for entry in ("f0", "f2")] == [[1, 2]] * 2
        assert await fired(held, "f1", "other") == []
        await there.link.command("ACL", "SETUSER", "few", f"~{prefix}:queue:*")
        await service.fire_due(NOON_MS + 3000)
        assert await fired(held, "f1", "other") == [1, 2, 3]
        await held.aclose()
    await few.aclose()
    await there.aclose()


async def test_what_many_entries_want_at_once_is_asked_for_together(bench: Bench) -> None:
    """Hundreds of them at midnight cost a few calls; all are fired, each once."""
    service = cron(bench, *[{"schedule": "@hourly"}] * 250)
    await service.fire_due(NOON_MS)
    before = await bench.client.info("commandstats")
    for _ in range(2):
        await service.fire_due(NOON_MS + HOUR_MS)
    calls = [stats["cmdstat_evalsha"]["calls"] for stats in (before, await bench.client.info("commandstats"))]
    assert service.fired == 250
    assert calls[1] - calls[0] < 50


async def test_a_lost_hash_is_begun_anew(bench: Bench) -> None:
    """A Redis that was emptied: entries count from when they are noted again."""
    service = cron(bench, {})
    await service.fire_due(NOON_MS)
    await bench.client.delete(bench.keyspace.cron("f0"))
    await service.fire_due(NOON_MS + 60_000)
    await service.fire_due(NOON_MS + 61_000)
    assert await fired(bench) == [61]


async def test_it_sleeps_until_the_next_tick_and_no_longer(bench: Bench) -> None:
    """A moment longer, lest it come too early; and not so long that a step of the clock would go unseen."""
    clock = ManualClock()
    service = cron(bench, {"schedule": "0 * * * * *"}, {"schedule": "30 * * * * *"}, clock=clock)
    assert await service.fire_due(NOON_MS) == 5.0
    assert await service.fire_due(NOON_MS + 27_500) == pytest.approx(2.502)
    assert await service.fire_due(NOON_MS + 29_999) == pytest.approx(0.003, abs=1e-5)
    assert await service.fire_due(NOON_MS + 59_000) == pytest.approx(1.002)


async def test_it_runs_by_the_server_s_clock_through_an_outage(own_redis: RedisServer, bench: Bench) -> None:
    """No clock of ours takes part (F47); while Redis is away it tries, and goes on when it is back (F52)."""
    there = Bench(own_redis.url, bench.keyspace, bench.client)
    slept = asyncio.Event()

    async def sleep(_: float) -> None:
        slept.set()
        await asyncio.sleep(0.01)

    service = cron(there, {"missed": "all"}, clock=ManualClock(now_ms=0), sleep=sleep)
    running = asyncio.create_task(service.run())
    async with asyncio.timeout(3 * WITHIN_S):
        while service.fired < 1:
            await service.passes.next()
        own_redis.stop()
        await service.passes.next(2)
        own_redis.start()
        fired_before = service.fired
        while service.fired < fired_before + 2:
            await service.passes.next()
    running.cancel()
    ids = await there.link.command("ZRANGE", there.keyspace.queue("default"), 0, -1)
    assert len(ids) == service.fired
    assert slept.is_set()
    await there.aclose()
