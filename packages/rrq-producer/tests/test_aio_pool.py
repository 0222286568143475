"""The pool of async connections."""

import asyncio

import pytest
import redis

from rrq_producer.address import Address
from rrq_producer.aio_pool import AsyncPool
from rrq_producer.attempts import Attempts
from rrq_producer.errors import ProducerClosed
from rrq_producer.packing import pack
from support.proxy import Proxy

pytestmark = pytest.mark.anyio

PING = pack(("PING",))


async def test_a_connection_is_used_again(redis_url: str) -> None:
    """One call after another, error replies included, needs one connection."""
    with Proxy(redis_url) as proxy:
        address = Address.of_dsn(proxy.url)
        pool = AsyncPool(address, 4)
        for _ in range(3):
            assert await pool.call(PING, Attempts(address, 5)) == b"PONG"
            with pytest.raises(redis.ResponseError):
                await pool.call(pack(("NOSUCH",)), Attempts(address, 5))
        await pool.aclose()
        assert proxy.connections == 1


async def test_a_broken_connection_takes_the_idle_ones_along(redis_url: str) -> None:
    """When one connection turns out to be dead, the idle ones are not tried one after the other."""
    with Proxy(redis_url) as proxy:
        address = Address.of_dsn(proxy.url)
        pool = AsyncPool(address, 4)
        await asyncio.gather(*(pool.call(PING, Attempts(address, 5)) for _ in range(4)))
        assert proxy.connections == 4
        proxy.cut_all()
        with pytest.raises((redis.ConnectionError, OSError)):
            await pool.call(PING, Attempts(address, 5))
        assert await pool.call(PING, Attempts(address, 5)) == b"PONG"
        assert proxy.connections == 5
        await pool.aclose()


async def test_a_connection_with_unread_replies_is_not_kept(redis_url: str) -> None:
    """A pipeline that fails in the middle closes its connection; what comes next is answered with its own
    reply."""
    address = Address.of_dsn(redis_url)
    pool = AsyncPool(address, 1)
    replies: list[object] = []
    commands = [pack(("ECHO", "1")), pack(("NOSUCH",)), pack(("ECHO", "2")), pack(("ECHO", "3"))]
    with pytest.raises(redis.ResponseError):
        await pool.pipeline(commands, Attempts(address, 5), replies.append)
    assert replies == [b"1"]
    assert await pool.call(pack(("ECHO", "4")), Attempts(address, 5)) == b"4"
    await pool.pipeline(commands[2:], Attempts(address, 5), replies.append)
    assert replies == [b"1", b"2", b"3"]
    await pool.aclose()
    with pytest.raises(ProducerClosed):
        await pool.call(PING, Attempts(address, 5))
