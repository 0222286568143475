"""Reading wake markers."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import redis.asyncio

from rrq_orchestrator.store import RedisLink
from rrq_orchestrator.waker import Waker
from rrq_protocol import Job, ScriptCall
from support.claiming import PATIENT, Claiming
from support.orchestrating import Bench, T

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


class Overtaken:
    """A link whose second answer is overtaken by a job, and by its marker."""

    def __init__(self, link: RedisLink) -> None:
        self.tell: Callable[[], Awaitable[None]] | None = None
        self._link = link

    async def run(self, call: ScriptCall[T]) -> T:
        reply = await self._link.run(call)
        if self.tell is not None:
            tell, self.tell = self.tell, None
            await tell()
        return reply


async def test_a_marker_is_not_lost_behind_an_answer_that_does_not_know_of_it(bench: Bench) -> None:
    """The job came when Redis had already said that there is none."""
    await bench.register()
    link = Overtaken(bench.links.make("claim"))
    claiming = Claiming(bench, PATIENT, lambda _: link)
    await claiming.loop.passes.next()

    async def enqueue() -> None:
        (job_id,) = await bench.enqueue(Job("work", defer_by=3600))
        await bench.client.zadd(bench.keyspace.queue("default"), {job_id: 0})
        claiming.loop.wake("default")

    link.tell = enqueue
    claiming.loop.wake("default")
    assert len(await bench.runner.requests(1)) == 1
    await claiming.stop()
