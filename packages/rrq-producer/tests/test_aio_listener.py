"""Waiting for announcements on the one connection that all waiters of an async producer share."""

import asyncio
import random
from typing import Any

import pytest

import rrq_producer.aio_listener
from rrq_producer.address import Address
from rrq_producer.aio_listener import AsyncListener
from rrq_producer.errors import ProducerClosed, RedisRefused
from rrq_protocol import Keyspace
from support.proxy import Proxy

pytestmark = pytest.mark.anyio


async def _announced(listener: AsyncListener, channel: str, ready: asyncio.Semaphore | None = None) -> bytes:
    async with listener.subscribed(channel) as signal:
        await listener.next(signal, 10)
        if ready is not None:
            ready.release()
        while signal.status is None:
            await listener.next(signal, 10)
        return signal.status


async def test_many_waiters_share_one_connection(
    redis_url: str, redis_client: Any, keyspace: Keyspace, rng: random.Random
) -> None:
    """Two hundred waiters, two to a channel, some of them cancelled: the others all hear of their own
    channel."""
    with Proxy(redis_url) as proxy:
        listener = AsyncListener(Address.of_dsn(proxy.url))
        ready = asyncio.Semaphore(0)
        channels = [keyspace.channel(str(n)) for n in range(100)]
        async with asyncio.TaskGroup() as tasks:
            waiters = [tasks.create_task(_announced(listener, channel, ready)) for channel in channels * 2]
            for _ in waiters:
                await ready.acquire()
            lost = rng.sample(waiters, 60)
            for waiter in lost:
                waiter.cancel()
            await asyncio.wait(lost)
            for n in rng.sample(range(100), 100):
                await asyncio.to_thread(redis_client.publish, channels[n], str(n))
                left = {waiters[n], waiters[n + 100]} - set(lost)
                assert {await waiter for waiter in left} <= {str(n).encode()}
        assert proxy.connections == 1
        await listener.aclose()
    assert set(redis_client.pubsub_numsub(*channels)) == {(channel.encode(), 0) for channel in channels}


async def test_the_lead_is_handed_over_at_any_point(
    redis_url: str, redis_client: Any, keyspace: Keyspace
) -> None:
    """A leader cancelled after each possible number of turns of the loop leaves a working connection to the
    next."""
    listener = AsyncListener(Address.of_dsn(redis_url))
    for turns in range(25):
        leader = asyncio.ensure_future(_announced(listener, keyspace.channel("leader")))
        ready = asyncio.Semaphore(0)
        follower = asyncio.ensure_future(_announced(listener, keyspace.channel("follower"), ready))
        for _ in range(turns):
            await asyncio.sleep(0)
        leader.cancel()
        await ready.acquire()
        await asyncio.to_thread(redis_client.publish, keyspace.channel("follower"), str(turns))
        assert await follower == str(turns).encode()
        assert (await asyncio.gather(leader, return_exceptions=True))[0].__class__ is asyncio.CancelledError
    await listener.aclose()


async def test_waiters_outlive_a_lost_connection(
    redis_url: str, redis_client: Any, keyspace: Keyspace
) -> None:
    """After a cut, every waiter is subscribed again and called to look."""
    with Proxy(redis_url) as proxy:
        listener = AsyncListener(Address.of_dsn(proxy.url))
        async with listener.subscribed("a") as first, listener.subscribed("b") as second:
            for signal in (first, second):
                await listener.next(signal, 10)
            proxy.cut_all()
            for signal in (first, second):
                await listener.next(signal, 10)
            assert proxy.connections == 2
        await listener.aclose()


async def test_a_silent_connection_is_made_anew(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that does not even answer a ping is replaced, and the waiter is called to look again
    (F44)."""
    monkeypatch.setattr(rrq_producer.aio_listener, "MAX_ATTEMPT_S", 0.02)
    monkeypatch.setattr(rrq_producer.aio_listener, "RECHECK_S", 0.01)
    with Proxy(redis_url) as proxy:
        listener = AsyncListener(Address.of_dsn(proxy.url))
        async with listener.subscribed("a") as signal:
            await listener.next(signal, 10)
            with proxy.black_hole():
                for _ in range(3):
                    await listener.next(signal, 0.05)
            monkeypatch.undo()
            while proxy.connections < 2:
                await listener.next(signal, 5)
        await listener.aclose()


async def test_a_refused_subscription_is_an_error(redis_url: str) -> None:
    """A right that is missing does not come by waiting; every waiter is told."""
    with Proxy(redis_url) as proxy:
        listener = AsyncListener(Address.of_dsn(proxy.url))
        proxy.answer(b"-NOPERM No permissions to access a channel\r\n", 100, marker=b"SUBSCRIBE")
        calls = (_announced(listener, "a"), _announced(listener, "b"))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [RedisRefused, RedisRefused]
        await listener.aclose()


async def test_closing_calls_the_waiters(redis_url: str) -> None:
    """Waiters that are left when the listener is closed return at once; later ones find it closed."""
    listener = AsyncListener(Address.of_dsn(redis_url))
    async with listener.subscribed("a") as signal:
        await listener.next(signal, 10)
        waiter = asyncio.ensure_future(listener.next(signal, 600))
        await asyncio.sleep(0)
        await listener.aclose()
        await waiter
        with pytest.raises(ProducerClosed):
            await listener.next(signal, 10)
