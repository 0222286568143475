"""Group commit: who may leave a group when, and what the others notice of it."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from rrq_producer import (
    AsyncProducer,
    DuplicateJob,
    EnqueuedJob,
    ProducerClosed,
    RedisUnavailable,
)
from rrq_protocol import Keyspace, Secret, Settings
from support.enqueuing import (
    Call,
    begin,
    created,
    held,
    queued,
    settled,
    until,
    warm,
)
from support.proxy import Proxy

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("victim", range(4))
async def test_a_member_may_leave_at_any_moment(
    proxy: Proxy, keyspace: Keyspace, redis_client: Any, victim: int
) -> None:
    """Whichever member is cancelled, after however many turns of the loop: the others get what they would
    have got, over the same connection, and no reply is left for the next call (S31)."""
    async with AsyncProducer(proxy.url, key_prefix=keyspace.prefix, max_connections=1) as producer:
        await producer.enqueue("f", job_id="old")
        finished = turns = 0
        while finished < 3:
            calls = [begin(producer, f"{turns}-{n}") for n in range(3)]
            # Its answer depends on what was there before the group: nothing of it may be sent twice.
            calls.insert(2, begin(producer, "old"))
            for _ in range(turns):
                await asyncio.sleep(0)
            calls[victim].cancel()
            outcomes = await settled(*calls)
            ids = [f"{turns}-0", f"{turns}-1", "old", f"{turns}-2"]
            for n, (job_id, outcome) in enumerate(zip(ids, outcomes, strict=True)):
                if n == victim and isinstance(outcome, asyncio.CancelledError):
                    continue
                if job_id == "old":
                    assert isinstance(outcome, DuplicateJob)
                else:
                    assert outcome == EnqueuedJob(job_id, True)
            status = await producer.get_job_status("old")
            assert status is not None
            assert status.id == "old"
            finished += not isinstance(outcomes[victim], asyncio.CancelledError)
            turns += 1
        assert turns > 5
    # A call that is alone under way takes its connection along when it is cancelled.
    assert proxy.connections == 1 or victim == 0
    assert len(queued(redis_client, keyspace)) >= 1 + 2 * turns


async def test_the_lead_is_passed_on_and_on(
    aio: AsyncProducer, proxy: Proxy, redis_client: Any, commands: Callable[[], int]
) -> None:
    """One leader after the other is cancelled while the reply is awaited, some at the very moment they are to
    lead: the last member reads it, and nothing is sent again."""
    async with held(aio, proxy, redis_client):
        before = commands()
        calls = [begin(aio, f"id-{n}") for n in range(9)]
        await until(lambda: commands() > before)  # they were not to wait any longer
        for n in (0, 2, 4):
            calls[n].cancel()
            await asyncio.sleep(0)
            calls[n + 1].cancel()
            await asyncio.wait(calls[: n + 2])
        calls[6].cancel()
        calls[7].cancel()
        await asyncio.wait(calls[:8])
    outcomes = await settled(*calls)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[:8])
    assert outcomes[8] == EnqueuedJob("id-8", True)
    assert commands() - before == 1
    assert proxy.connections == 2


async def test_when_all_leave_nothing_is_left_behind(
    aio: AsyncProducer, proxy: Proxy, redis_client: Any, keyspace: Keyspace, commands: Callable[[], int]
) -> None:
    """With every member cancelled, sent or not, no later call gets a reply that was theirs, or waits for
    them."""
    async with held(aio, proxy, redis_client):
        before = commands()
        unsent = [begin(aio, f"unsent-{n}") for n in range(5)]
        await asyncio.sleep(0)
        for call in unsent:
            call.cancel()
        sent = [begin(aio, f"sent-{n}") for n in range(5)]
        await until(lambda: commands() > before)
        for call in sent:
            call.cancel()
        outcomes = await settled(*unsent, *sent)
        last = begin(aio, "last")
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    assert await last == EnqueuedJob("last", True)
    assert queued(redis_client, keyspace) == ["first", *(f"sent-{n}" for n in range(5)), "last"]


async def test_the_last_two_may_leave_together(proxy: Proxy, redis_client: Any, keyspace: Keyspace) -> None:
    """Whoever is told to lead at the moment of its own cancellation, with nobody left, closes the connection
    and gives its place in the pool free."""
    async with AsyncProducer(proxy.url, key_prefix=keyspace.prefix, max_connections=2) as producer:
        for turn in range(3):
            await warm(producer)
            with proxy.black_hole():
                first = begin(producer, f"{turn}-first")
                await until(lambda: redis_client.exists(keyspace.job(f"{turn}-first")))  # noqa: B023
                calls = [begin(producer, f"{turn}-{n}") for n in range(2)]
                await until(lambda: redis_client.exists(keyspace.job(f"{turn}-1")))  # noqa: B023
                calls[0].cancel()
                await asyncio.sleep(0)
                calls[1].cancel()
                await settled(*calls)
            await first


async def test_a_leader_may_leave_while_it_sends(proxy: Proxy, redis_client: Any, keyspace: Keyspace) -> None:
    """Cancelled with a part of a large group sent: the rest is sent over the same connection, so nothing goes
    out twice, and a job that was there before is still told from one's own."""
    settings = Settings(redis_dsn=Secret(proxy.url), key_prefix=keyspace.prefix, max_payload_bytes=16 * 2**20)
    async with AsyncProducer.from_settings(settings) as producer:
        await producer.enqueue("f", job_id="old")
        await warm(producer)
        with proxy.black_hole():
            with proxy.deaf():
                first = begin(producer, "first")
                await asyncio.sleep(0)
                leader = begin(producer, "leader")
                old = begin(producer, "old")
                other = begin(producer, "other", params={"x": "y" * 12_000_000})
                await asyncio.sleep(0)
                first.cancel()
                for _ in range(50):  # its followers go out, and do not get far
                    await asyncio.sleep(0)
                leader.cancel()
                await asyncio.wait([first, leader])
            await until(lambda: redis_client.exists(keyspace.job("other")))
        refused, made = await settled(old, other)
        assert isinstance(refused, DuplicateJob)
        assert [made] == created("other")
        assert redis_client.hget(keyspace.stats("default"), "enqueued") == b"4"
        assert proxy.connections == 2
        assert await settled(begin(producer, "next")) == created("next")


async def test_all_may_leave_while_they_send(proxy: Proxy, redis_client: Any, keyspace: Keyspace) -> None:
    """Cancelled one after the other with a part sent: the connection is closed, and no task is left over."""
    settings = Settings(redis_dsn=Secret(proxy.url), key_prefix=keyspace.prefix, max_payload_bytes=16 * 2**20)
    async with AsyncProducer.from_settings(settings, max_connections=2) as producer:
        before = asyncio.all_tasks()
        for turn in range(3):
            await warm(producer)
            with proxy.deaf():
                calls = [begin(producer, f"{turn}-{n}", params={"x": "y" * 6_000_000}) for n in range(2)]
                for call in calls:
                    for _ in range(10):
                        await asyncio.sleep(0)
                    call.cancel()
                await asyncio.wait(calls)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
        assert await settled(begin(producer, "next")) == created("next")


async def test_members_come_and_go_at_random(
    proxy: Proxy, redis_client: Any, keyspace: Keyspace, rng: random.Random
) -> None:
    """Many callers, many cancellations, connections cut at random: every answer belongs to its call, whatever
    was answered is there, and every job is there once."""
    answered: list[str] = []

    async def caller(producer: AsyncProducer, name: int) -> None:
        for n in range(20):
            if rng.random() < 0.01:
                proxy.cut_replies(1)
            call = begin(producer, f"{name}-{n}")
            if rng.random() < 0.3:
                for _ in range(rng.randint(0, 20)):
                    await asyncio.sleep(0)
                call.cancel()
            (outcome,) = await settled(call)
            if not isinstance(outcome, asyncio.CancelledError):
                assert outcome == EnqueuedJob(f"{name}-{n}", True)
                answered.append(outcome.id)

    async with AsyncProducer(proxy.url, key_prefix=keyspace.prefix, max_connections=4) as producer:
        await asyncio.gather(*(caller(producer, name) for name in range(50)))
        assert (await producer.enqueue("f", queue_name="other")).created
    assert len(answered) >= 600
    members = queued(redis_client, keyspace)
    assert set(answered) <= set(members)
    assert redis_client.hget(keyspace.stats("default"), "enqueued") == b"%d" % len(members)


async def test_each_has_its_own_time(proxy: Proxy, redis_client: Any, keyspace: Keyspace) -> None:
    """The oldest member's time ends first: it is told in time, and the others read on."""
    async with AsyncProducer(proxy.url, key_prefix=keyspace.prefix, timeout_seconds=0.6) as producer:
        await warm(producer)
        with proxy.black_hole():
            calls = [begin(producer, "first")]
            await until(lambda: redis_client.exists(keyspace.job("first")))
            calls.append(begin(producer, "old"))
            await asyncio.sleep(0.05)
            calls.append(begin(producer, "young"))
            await until(lambda: redis_client.exists(keyspace.job("young")))
            assert not calls[1].done()
            await asyncio.wait([calls[1]])
            assert not calls[2].done()
        outcomes = await settled(*calls)
    assert [type(outcome) for outcome in outcomes] == [RedisUnavailable, RedisUnavailable, EnqueuedJob]
    assert "in 0.6 s" in str(outcomes[1])
    assert proxy.connections == 2


async def test_who_left_is_not_sent_again(
    aio: AsyncProducer, proxy: Proxy, redis_client: Any, keyspace: Keyspace
) -> None:
    """A member that is cancelled between two attempts is left out of the next one."""
    proxy.answer(b"-LOADING Redis is loading the dataset in memory\r\n", 1, marker=b"id-3")
    calls = [begin(aio, f"id-{n}") for n in range(5)]
    await until(lambda: proxy.answers_left() == 0)
    calls[3].cancel()
    outcomes = await settled(*calls)
    assert isinstance(outcomes.pop(3), asyncio.CancelledError)
    assert outcomes == created("id-0", "id-1", "id-2", "id-4")
    assert not redis_client.exists(keyspace.job("id-3"))


async def test_calls_begun_before_closing_end(aio: AsyncProducer, proxy: Proxy, redis_client: Any) -> None:
    """Closing refuses further calls; those that had begun get their answers, and leave no connection
    behind."""
    async with held(aio, proxy, redis_client):
        calls = [begin(aio, f"id-{n}") for n in range(5)]
        await asyncio.sleep(0)
        await aio.aclose()
        with pytest.raises(ProducerClosed):
            await aio.enqueue("f")
    assert await settled(*calls) == created(*(f"id-{n}" for n in range(5)))


def test_a_loop_that_stands_still_holds_up_no_other(
    redis_url: str, redis_client: Any, keyspace: Keyspace
) -> None:
    """Calls that are under way or wait in one event loop mean nothing to another one."""
    with Proxy(redis_url) as proxy, asyncio.Runner() as runner:
        producer = AsyncProducer(proxy.url, key_prefix=keyspace.prefix)

        async def leave() -> list[Call]:
            calls = [begin(producer, f"id-{n}") for n in range(3)]
            await until(lambda: redis_client.exists(keyspace.job("id-0")))
            return calls

        async def use() -> None:
            assert (await producer.enqueue("f", job_id="next")).created
            await producer.aclose()

        runner.run(warm(producer))
        first_home = producer._pool._home
        assert first_home is not None
        with proxy.black_hole():
            calls = runner.run(leave())
        asyncio.run(use())
        runner.run(settled(*calls))
        runner.run(producer._pool._close_idle(first_home))
