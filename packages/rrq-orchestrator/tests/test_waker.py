"""Reading wake markers."""

import asyncio

import pytest
import redis.asyncio

from rrq_orchestrator.waker import Waker
from support.orchestrating import Bench

pytestmark = pytest.mark.anyio


async def test_a_marker_is_taken_while_there_is_room(bench: Bench) -> None:
    """The queue it stood for is handed on."""
    woken: asyncio.Queue[str] = asyncio.Queue()
    waker = Waker(bench.keyspace, bench.link, bench.links, woken.put_nowait)
    waker.listen(["a", "b"])
    running = asyncio.create_task(waker.run())
    await bench.client.lpush(bench.keyspace.wake("b"), "1")
    assert await woken.get() == "b"
    running.cancel()


async def test_a_marker_that_comes_when_the_room_is_gone_is_left_to_others(bench: Bench) -> None:
    """An orchestrator that is full must not swallow the hint another one waits for."""
    woken: list[str] = []
    waker = Waker(bench.keyspace, bench.link, bench.links, woken.append)
    waker.listen(["a"])
    running = asyncio.create_task(waker.run())
    while not await blocked(bench.client):
        continue
    waker.listen([])
    await bench.client.lpush(bench.keyspace.wake("a"), "1")
    await waker.passes.next()
    assert await bench.client.llen(bench.keyspace.wake("a")) == 1
    assert woken == []
    running.cancel()


async def blocked(client: redis.asyncio.Redis) -> int:
    """Return how many clients wait in a blocking read."""
    return int((await client.info("clients"))["blocked_clients"])
