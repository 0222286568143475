"""The async producer: many calls at a time, and calls cancelled at any point."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from rrq_producer import AsyncProducer, EnqueuedJob, Job, JobResult, JobStatus, RedisUnavailable
from rrq_protocol import Keyspace
from support.proxy import Proxy

pytestmark = pytest.mark.anyio


async def test_many_calls_at_a_time_share_few_connections(
    redis_url: str, redis_client: Any, keyspace: Keyspace
) -> None:
    """Two hundred concurrent callers: every job is there once, over no more connections than allowed."""
    with Proxy(redis_url) as proxy:
        async with AsyncProducer(proxy.url, key_prefix=keyspace.prefix, max_connections=8) as producer:

            async def caller(name: int) -> list[str]:
                return [(await producer.enqueue("f", {"caller": name, "n": n})).id for n in range(5)]

            ids = [job_id for some in await asyncio.gather(*map(caller, range(200))) for job_id in some]
        assert proxy.connections <= 8
    assert redis_client.zcard(keyspace.queue("default")) == len(set(ids)) == 1000


async def test_a_call_cancelled_at_any_point_mixes_no_replies(redis_url: str, keyspace: Keyspace) -> None:
    """Cancelled after each possible number of turns of the loop, a call leaves no unread reply to the next
    one (S31)."""
    async with AsyncProducer(redis_url, key_prefix=keyspace.prefix, max_connections=1) as producer:
        known = [(await producer.enqueue("f", {"n": n})).id for n in range(2)]
        turns, finished = 0, False
        while not finished:
            call = asyncio.ensure_future(producer.get_job_status(known[0]))
            for _ in range(turns):
                await asyncio.sleep(0)
            call.cancel()
            finished = not await _was_cancelled(call)
            answer = await producer.get_job_status(known[1])
            assert answer is not None
            assert answer.id == known[1]
            turns += 1
            # A reply takes its time, however many turns the loop makes.
            finished = finished or turns == 200
        assert turns > 3


async def test_calls_cancelled_under_load_mix_no_replies(
    redis_url: str, redis_client: Any, keyspace: Keyspace, rng: random.Random
) -> None:
    """Many callers, many cancellations at random moments: each reply seen belongs to its call (S31)."""
    with Proxy(redis_url) as proxy:
        async with AsyncProducer(proxy.url, key_prefix=keyspace.prefix, max_connections=4) as producer:

            async def caller(name: int) -> int:
                seen = 0
                for n in range(20):
                    job_id = f"{name}-{n}"
                    call = asyncio.ensure_future(_enqueue_and_look(producer, job_id))
                    if rng.random() < 0.5:
                        for _ in range(rng.randint(0, 12)):
                            await asyncio.sleep(0)
                        call.cancel()
                    if not await _was_cancelled(call):
                        enqueued, found = call.result()
                        assert enqueued == EnqueuedJob(job_id, True)
                        assert found is not None
                        assert found.id == job_id
                        seen += 1
                return seen

            assert sum(await asyncio.gather(*map(caller, range(40)))) >= 200
    members = redis_client.zrange(keyspace.queue("default"), 0, -1)
    for member in members:
        assert redis_client.exists(keyspace.job(member.decode()))


async def test_a_cancelled_bulk_leaves_whole_jobs(
    redis_url: str, redis_client: Any, keyspace: Keyspace, rng: random.Random
) -> None:
    """Many jobs, cancelled in the middle: whole chunks are there or not, and the next call works (F1)."""
    async with AsyncProducer(redis_url, key_prefix=keyspace.prefix) as producer:
        for _ in range(10):
            jobs = [Job("f") for _ in range(3000)]
            call: asyncio.Future[list[EnqueuedJob]] = asyncio.ensure_future(producer.enqueue_many(jobs))
            for _ in range(rng.randint(1, 40)):
                await asyncio.sleep(0)
            call.cancel()
            assert call.done() or await _was_cancelled(call)
        assert (await producer.enqueue("f", queue_name="other")).created
    members = redis_client.zrange(keyspace.queue("default"), 0, -1)
    assert len(members) % 500 == 0
    for member in members:
        assert redis_client.hget(keyspace.job(member.decode()), "status") == b"PENDING"


async def test_waiters_never_hold_up_an_enqueue(
    redis_url: str, keyspace: Keyspace, finish: Callable[[], list[str]]
) -> None:
    """With a single connection and many waiters, enqueues pass; each waiter gets its own result."""
    async with (
        AsyncProducer(redis_url, key_prefix=keyspace.prefix, max_connections=1) as producer,
        asyncio.TaskGroup() as tasks,
    ):
        ids = [(await producer.enqueue("f", {"n": n})).id for n in range(50)]
        waiters = [tasks.create_task(producer.wait(job_id, 30)) for job_id in ids]
        ids += [(await producer.enqueue("f", {"n": n})).id for n in range(50)]
        assert sorted(await asyncio.to_thread(finish)) == sorted(ids)
        results = await asyncio.gather(*waiters)
    assert [result.id for result in results] == ids[:50]
    assert {result.status for result in results} == {JobStatus.COMPLETED}


async def test_no_free_connection_in_time_is_unavailable(redis_url: str, keyspace: Keyspace) -> None:
    """A call that gets no connection within its time says so."""
    with Proxy(redis_url) as proxy:
        producer = AsyncProducer(
            proxy.url, key_prefix=keyspace.prefix, max_connections=1, timeout_seconds=0.4
        )
        async with producer:
            await producer.enqueue("f")
            with proxy.black_hole():
                outcomes = await asyncio.gather(
                    *(producer.enqueue("f") for _ in range(3)), return_exceptions=True
                )
    assert [type(outcome) for outcome in outcomes] == [RedisUnavailable] * 3


def test_one_producer_serves_one_event_loop_after_another(redis_url: str, keyspace: Keyspace) -> None:
    """Connections of a loop that has ended are never used again; the producer opens new ones."""
    producer = AsyncProducer(redis_url, key_prefix=keyspace.prefix)

    async def use() -> JobResult | None:
        job = await producer.enqueue("f")
        await producer.cancel(job.id)
        result = await producer.wait(job.id, 5)
        # Close what this loop opened, or the interpreter reports it as leaked.
        await producer._pool._close_idle(producer._pool._current())
        await producer._listener._disconnect()
        return result

    for _ in range(2):
        result = asyncio.run(use())
        assert result is not None
        assert result.status is JobStatus.CANCELLED


async def _enqueue_and_look(producer: AsyncProducer, job_id: str) -> tuple[EnqueuedJob, JobResult | None]:
    return await producer.enqueue("f", {"id": job_id}, job_id=job_id), await producer.get_job_status(job_id)


async def _was_cancelled(call: "asyncio.Future[Any]") -> bool:
    await asyncio.wait([call])
    return call.cancelled()
