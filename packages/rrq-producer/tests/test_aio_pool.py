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


async def test_an_error_reply_ends_a_pipeline(redis_url: str) -> None:
    """Nothing more is sent after an error reply; the replies to what was sent before are all handed on, so
    the connection is kept."""
    with Proxy(redis_url) as proxy:
        address = Address.of_dsn(proxy.url)
        pool = AsyncPool(address, 1)
        replies: list[object] = []
        commands = [pack(("ECHO", "1")), pack(("NOSUCH",)), pack(("ECHO", "2")), pack(("ECHO", "3"))]
        await pool.pipeline(commands, Attempts(address, 5), replies.append)
        assert (replies[0], replies[2:]) == (b"1", [b"2"])
        assert isinstance(replies[1], redis.ResponseError)
        assert await pool.call(pack(("ECHO", "4")), Attempts(address, 5)) == b"4"
        assert proxy.connections == 1
        await pool.aclose()


async def test_a_connection_with_unread_replies_is_not_kept(redis_url: str) -> None:
    """A pipeline whose taker fails closes its connection; what comes next is answered with its own reply."""
    address = Address.of_dsn(redis_url)
    pool = AsyncPool(address, 1)
    replies: list[object] = []
    commands = [pack(("ECHO", str(n))) for n in range(4)]

    def fail(reply: object) -> None:
        raise ValueError(reply)

    with pytest.raises(ValueError, match="0"):
        await pool.pipeline(commands, Attempts(address, 5), fail)
    assert await pool.call(pack(("ECHO", "4")), Attempts(address, 5)) == b"4"
    await pool.pipeline(commands[2:], Attempts(address, 5), replies.append)
    assert replies == [b"2", b"3"]
    await pool.aclose()
    with pytest.raises(ProducerClosed):
        await pool.call(PING, Attempts(address, 5))


async def test_a_call_that_was_admitted_ends_after_closing(redis_url: str) -> None:
    """Closing refuses new calls at once; one that was admitted may still borrow, and what it gives back is
    closed."""
    address = Address.of_dsn(redis_url)
    pool = AsyncPool(address, 1)
    pool.admit()
    await pool.aclose()
    with pytest.raises(ProducerClosed):
        pool.admit()
    loan = await pool.borrow(Attempts(address, 5))
    connected = [loan.connection.is_connected]
    await pool.give_back(loan)
    connected.append(loan.connection.is_connected)
    assert connected == [True, False]
    assert not loan.home.idle


async def test_a_connection_given_up_is_not_lent_again(redis_url: str) -> None:
    """What was given up is closed, and its place is free; an error of the connection takes the idle ones
    along, any other reason leaves them."""
    address = Address.of_dsn(redis_url)
    pool = AsyncPool(address, 2)
    for error, left in ((None, 1), (redis.ConnectionError("lost"), 0)):
        first, second = [await pool.borrow(Attempts(address, 5)) for _ in range(2)]
        with pytest.raises(TimeoutError):
            await pool.borrow(Attempts(address, 0.05))
        await pool.give_back(first)
        await pool.give_up(second, error)
        assert not second.connection.is_connected
        assert len(second.home.idle) == left
    await pool.aclose()
