"""The lease of an orchestrator."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
import structlog

from rrq_orchestrator.heartbeat import Heartbeat, HeartbeatTimes, Reports
from rrq_protocol.transitions import fence
from support.orchestrating import LOG, Bench

pytestmark = pytest.mark.anyio


def heart(
    bench: Bench, fenced: list[str], lease_s: float = 10.0, report_beats: int = 3, log: Any = LOG
) -> Heartbeat:
    return Heartbeat(
        keyspace=bench.keyspace,
        url=bench.url,
        times=HeartbeatTimes(lease_s=lease_s, beat_s=0.02, report_beats=report_beats),
        report=lambda orchestrator_id: orchestrator_id.encode(),
        on_fenced=fenced.append,
        links=bench.links,
        log=log,
    )


async def test_it_registers_then_every_beat_changes_the_lease(bench: Bench) -> None:
    """The row and the report exist before the first claim is allowed; a beat is seen as a changed value."""
    heartbeat = heart(bench, [])
    running = asyncio.create_task(heartbeat.run())
    await heartbeat.registered()
    first = await bench.client.zscore(bench.keyspace.workers, heartbeat.orchestrator_id)
    await heartbeat.passes.next(2)
    second = await bench.client.zscore(bench.keyspace.workers, heartbeat.orchestrator_id)
    assert first is not None
    assert second is not None
    assert second > first
    report = await bench.client.get(bench.keyspace.health(heartbeat.orchestrator_id))
    assert report == heartbeat.orchestrator_id.encode()
    running.cancel()
    await heartbeat.stopped()


async def test_once_fenced_it_goes_on_under_a_new_id(bench: Bench) -> None:
    """The old id never comes back; whoever holds attempts of it is told."""
    fenced: list[str] = []
    heartbeat = heart(bench, fenced)
    running = asyncio.create_task(heartbeat.run())
    await heartbeat.registered()
    old = heartbeat.orchestrator_id
    fenced_by_us = False
    while not fenced_by_us:  # a beat may come between the look and the fence; then the fence does nothing
        lease = await bench.client.zscore(bench.keyspace.workers, old)
        fenced_by_us = await bench.run(fence(bench.keyspace, old, lease or 0))
    while heartbeat.orchestrator_id == old:
        await heartbeat.passes.next()
    await heartbeat.registered()
    assert (fenced, heartbeat.state_losses) == ([old], 0)
    members = await bench.client.zrange(bench.keyspace.workers, 0, -1)
    assert members == [heartbeat.orchestrator_id.encode()]
    running.cancel()
    await heartbeat.stopped()


@pytest.mark.parametrize(("how", "words"), [("emptied", "came back empty"), ("restored", "older state")])
async def test_a_lost_state_is_told_apart_from_a_fence(bench: Bench, how: str, words: str) -> None:
    """What happened and what to do, as an error; it is counted, and the work goes on (F27, F28)."""
    fenced: list[str] = []
    with structlog.testing.capture_logs() as logged:
        heartbeat = heart(bench, fenced, log=structlog.get_logger())
        running = asyncio.create_task(heartbeat.run())
        await heartbeat.registered()
        old = heartbeat.orchestrator_id
        if how == "emptied":
            await bench.client.delete(bench.keyspace.epoch)
        else:
            await bench.client.hset(bench.keyspace.epoch, "registrations", "0")
        await bench.client.delete(bench.keyspace.workers)
        while heartbeat.orchestrator_id == old:
            await heartbeat.passes.next()
        await heartbeat.registered()
        assert (fenced, heartbeat.state_losses) == ([old], 1)
        running.cancel()
        await heartbeat.stopped()
    told = [each for each in logged if each["event"].partition(".")[0] in ("orchestrator", "redis")]
    assert [each["event"] for each in told] == [
        "orchestrator.registered",
        "redis.state_lost",
        "orchestrator.registered",
    ]
    assert (told[1]["log_level"], told[1]["orchestrator"]) == ("error", old)
    assert words in told[1]["problem"]
    assert "persistence" in told[1]["action"]


async def test_news_are_reported_at_once(bench: Bench) -> None:
    """A runner that came up is seen by `rrq check` without waiting for the next beat."""
    heartbeat = Heartbeat(
        keyspace=bench.keyspace,
        url=bench.url,
        times=HeartbeatTimes(lease_s=3600.0, beat_s=900.0),
        report=lambda _: news[-1],
        on_fenced=lambda _: None,
        links=bench.links,
        log=LOG,
    )
    news = [b"old"]
    running = asyncio.create_task(heartbeat.run())
    await heartbeat.registered()
    news.append(b"new")
    heartbeat.hurry()
    async with asyncio.timeout(60):
        # The first pass may be told of only now, so the next one need not be the one that is waited for.
        while await bench.client.get(bench.keyspace.health(heartbeat.orchestrator_id)) != b"new":
            pass
    running.cancel()
    await heartbeat.stopped()


def test_reports_go_with_some_beats() -> None:
    """With the first, with one of so many, and with the next one after news."""
    reports, told = Reports(3), []
    for news in (0, 0, 0, 0, 0, 1, 1, 3, 3, 3, 3):
        told.append(reports.due(news))
        reports.beaten(news, reported=told[-1])
    assert [beat for beat, is_told in enumerate(told) if is_told] == [0, 3, 5, 7, 10]
    assert Reports(1).due(0)


async def test_most_beats_renew_the_lease_alone(bench: Bench) -> None:
    """What the report says is news to nobody with each beat; where there is news it goes at once."""
    heartbeat = heart(bench, [], report_beats=1_000_000)
    running = asyncio.create_task(heartbeat.run())
    await heartbeat.registered()
    await heartbeat.passes.next()
    health = bench.keyspace.health(heartbeat.orchestrator_id)
    await bench.client.delete(health)
    first = await bench.client.zscore(bench.keyspace.workers, heartbeat.orchestrator_id)
    await heartbeat.passes.next(3)
    second = await bench.client.zscore(bench.keyspace.workers, heartbeat.orchestrator_id)
    assert (first or 0) < (second or 0)
    assert await bench.client.exists(health) == 0
    heartbeat.hurry()
    async with asyncio.timeout(60):
        while not await bench.client.exists(health):
            await heartbeat.passes.next()
    running.cancel()
    await heartbeat.stopped()


async def test_after_a_failed_beat_the_report_goes_again(bench: Bench) -> None:
    """Whoever could not write for a while may have lost its report meanwhile."""

    async def refusals() -> str:
        return str((await bench.client.info("errorstats")).get("errorstat_WRONGTYPE"))

    heartbeat = heart(bench, [], report_beats=1_000_000)
    running = asyncio.create_task(heartbeat.run())
    await heartbeat.registered()
    await heartbeat.passes.next()
    health, aside = bench.keyspace.health(heartbeat.orchestrator_id), f"{bench.keyspace.prefix}:aside"
    before = await refusals()
    await bench.client.rename(bench.keyspace.workers, aside)
    await bench.client.set(bench.keyspace.workers, "no leases")
    async with asyncio.timeout(60):
        while await refusals() == before:
            pass
    await bench.client.delete(health)
    await bench.client.rename(aside, bench.keyspace.workers)
    async with asyncio.timeout(60):
        while not await bench.client.exists(health):
            await heartbeat.passes.next()
    running.cancel()
    await heartbeat.stopped()


def hang(lease: Callable[[], float]) -> tuple[bool, bool]:
    """Hold the event loop up; return whether the lease was renewed meanwhile, and whether that came to an
    end."""
    first = last = lease()
    begun = changed = time.monotonic()
    while time.monotonic() - begun < 4:
        if (seen := lease()) != last:
            last, changed = seen, time.monotonic()
        elif last != first and time.monotonic() - changed > 0.3:  # fifteen beats
            return True, True
        time.sleep(0.01)
    return last != first, False


async def test_an_orchestrator_that_hangs_stops_beating(bench: Bench, redis_client: "redis.Redis") -> None:
    """The thread beats on through a busy moment of the event loop, but not once it was stuck for half a
    lease: others have to take over (RELIABILITY.md 6.2)."""
    heartbeat = heart(bench, [], lease_s=1.6)
    running = asyncio.create_task(heartbeat.run())
    await heartbeat.registered()

    def lease() -> float:
        value = redis_client.zscore(bench.keyspace.workers, heartbeat.orchestrator_id)
        assert isinstance(value, float)
        return value

    assert hang(lease) == (True, True)
    running.cancel()
    await heartbeat.stopped()


async def test_a_beat_that_fails_in_a_way_nobody_expects_is_not_the_last(bench: Bench) -> None:
    """A thread that ended would do so without a word, and the lease with it."""
    heartbeat = heart(bench, [])
    ordinary, failures = heartbeat._beat, iter([ValueError("strange")])

    def beat(*args: Any) -> str:
        for failure in failures:
            raise failure
        return ordinary(*args)

    heartbeat._beat = beat  # type: ignore[method-assign,assignment]
    running = asyncio.create_task(heartbeat.run())
    await heartbeat.registered()
    running.cancel()
    await heartbeat.stopped()


async def test_leaving_takes_row_and_report_away(bench: Bench) -> None:
    """Others see a clean stop at once."""
    heartbeat = heart(bench, [])
    running = asyncio.create_task(heartbeat.run())
    await heartbeat.registered()
    running.cancel()
    await heartbeat.stopped()
    assert await bench.run(heartbeat.leave()) == 0
    assert await bench.client.zcard(bench.keyspace.workers) == 0
    assert await bench.client.exists(bench.keyspace.health(heartbeat.orchestrator_id)) == 0


async def test_the_loop_learns_of_a_fence_only_once(bench: Bench) -> None:
    """Claim loop and beat may both find out; the second finding concerns an id that is history."""
    fenced: list[str] = []
    heartbeat = heart(bench, fenced)
    old = heartbeat.orchestrator_id
    heartbeat.fenced(old)
    heartbeat.fenced(old)
    assert fenced == [old]
    assert not heartbeat.is_registered
