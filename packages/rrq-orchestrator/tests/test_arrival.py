"""Nothing begins before Redis does what the scripts need."""

import asyncio
import random

import pytest

from rrq_orchestrator.arrival import arrive
from rrq_orchestrator.errors import RedisRefused
from rrq_orchestrator.farewell import StopRequest
from rrq_orchestrator.store import RedisLinks
from rrq_protocol import Keyspace
from rrq_protocol.transitions import deregister
from support.orchestrating import LOG
from support.redis_servers import RedisServer

pytestmark = pytest.mark.anyio

WRITE = deregister(Keyspace("rrq"), "nobody")


def _links(url: str) -> RedisLinks:
    return RedisLinks(url, "test", LOG, random.Random(1))


async def test_a_redis_that_is_away_is_waited_for(own_redis: RedisServer) -> None:
    """The wait ends when it is there, and it counts as reached."""
    own_redis.stop()
    links = _links(own_redis.url)
    waiting = asyncio.ensure_future(arrive(links, links.make("a"), WRITE, StopRequest()))
    while links.connected:  # noqa: ASYNC110 - the first failure is a log event and a state
        await asyncio.sleep(0.01)
    own_redis.start()
    assert await waiting
    assert links.reached
    await links.aclose()


async def test_a_stop_ends_the_wait(own_redis: RedisServer) -> None:
    """However long Redis is away."""
    own_redis.stop()
    links, stop = _links(own_redis.url), StopRequest()
    waiting = asyncio.ensure_future(arrive(links, links.make("a"), WRITE, stop))
    while links.connected:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.01)
    stop.ask()
    assert not await waiting
    assert not links.reached
    await links.aclose()


async def test_a_missing_right_is_told_at_once(own_redis: RedisServer) -> None:
    """A user who may ping and not write is refused before any work begins."""
    links = _links(own_redis.url)
    await links.make("admin").command("ACL", "SETUSER", "poor", "on", ">pw", "~*", "+ping")
    poor = _links(own_redis.url.replace("redis://", "redis://poor:pw@"))
    with pytest.raises(RedisRefused):
        await arrive(poor, poor.make("a"), WRITE, StopRequest())
    for each in (links, poor):
        await each.aclose()
