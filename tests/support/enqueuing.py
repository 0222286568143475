"""Enqueues that are awaited at the same time: how tests begin them, hold them back, and see what became of
them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from rrq_producer import AsyncProducer, EnqueuedJob
from rrq_protocol import Keyspace
from support.proxy import Proxy

__all__ = ["Call", "begin", "created", "held", "queued", "script_calls", "settled", "until", "warm"]

Call = asyncio.Future[EnqueuedJob]


def begin(producer: AsyncProducer, job_id: str | None = None, **options: Any) -> Call:
    """Return a call that starts with the next turn of the loop; the job is never allowed to be there."""
    options = {"on_conflict": "raise", **options}
    return asyncio.ensure_future(producer.enqueue("f", job_id=job_id, **options))


def created(*ids: str) -> list[EnqueuedJob]:
    """Return the outcomes of calls that each created its job."""
    return [EnqueuedJob(job_id, True) for job_id in ids]


@asynccontextmanager
async def held(aio: AsyncProducer, proxy: Proxy, redis_client: Any) -> AsyncIterator[None]:
    """Hold back all replies while the block runs, one call being under way: those that begin in the block
    gather behind it."""
    with proxy.black_hole():
        first = begin(aio, "first")
        await until(lambda: redis_client.exists(aio._rules.keyspace.job("first")))
        yield
    assert await first == EnqueuedJob("first", True)


def queued(redis_client: Any, keyspace: Keyspace, queue: str = "default") -> list[str]:
    """Return the ids in a queue, in order."""
    return [member.decode() for member in redis_client.zrange(keyspace.queue(queue), 0, -1)]


def script_calls(client: Any) -> int:
    """Return how many script calls a server has had."""
    stats = client.info("commandstats")
    return sum(int(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"]) for name in ("evalsha", "eval"))


async def settled(*calls: Call) -> list[EnqueuedJob | BaseException]:
    """Return what became of each call."""
    async with asyncio.timeout(20):
        return await asyncio.gather(*calls, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    """Return once a condition on another process holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nothing in this process tells
            await asyncio.sleep(0.001)


async def warm(producer: AsyncProducer) -> None:
    """Have a producer open two connections, and the server learn the script."""
    await producer.enqueue("f", queue_name="warm")
    await asyncio.gather(*(producer.get_job_status("none") for _ in range(2)))
