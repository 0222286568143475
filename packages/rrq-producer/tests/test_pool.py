"""The pool of blocking connections."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

import rrq_producer.pool
from rrq_producer.address import Address
from rrq_producer.attempts import Attempts
from rrq_producer.errors import ProducerClosed
from rrq_producer.packing import pack
from rrq_producer.pool import BlockingPool, IdleConnections
from support.proxy import Proxy

PING = pack(("PING",))


def test_a_connection_is_used_again(redis_url: str) -> None:
    """One call after another, error replies included, needs one connection."""
    with Proxy(redis_url) as proxy:
        address = Address.of_dsn(proxy.url)
        pool = BlockingPool(address, 4, 5)
        for _ in range(3):
            assert pool.call(PING, Attempts(address, 5)) == b"PONG"
            with pytest.raises(redis.ResponseError):
                pool.call(pack(("NOSUCH",)), Attempts(address, 5))
        pool.close()
        assert proxy.connections == 1


def test_an_error_reply_ends_a_pipeline(redis_url: str) -> None:
    """Nothing more is sent after an error reply; the replies to what was sent before are all handed on, so
    the connection is kept."""
    with Proxy(redis_url) as proxy:
        address = Address.of_dsn(proxy.url)
        pool = BlockingPool(address, 1, 5)
        replies: list[object] = []
        commands = [pack(("ECHO", "1")), pack(("NOSUCH",)), pack(("ECHO", "2")), pack(("ECHO", "3"))]
        pool.pipeline(commands, Attempts(address, 5), replies.append)
        assert (replies[0], replies[2:]) == (b"1", [b"2"])
        assert isinstance(replies[1], redis.ResponseError)
        assert pool.call(pack(("ECHO", "4")), Attempts(address, 5)) == b"4"
        assert proxy.connections == 1
        pool.close()


def test_a_connection_with_unread_replies_is_not_kept(redis_url: str) -> None:
    """A pipeline whose taker fails closes its connection; what comes next is answered with its own reply."""
    address = Address.of_dsn(redis_url)
    pool = BlockingPool(address, 1, 5)
    replies: list[object] = []
    commands = [pack(("ECHO", str(n))) for n in range(4)]

    def fail(reply: object) -> None:
        raise ValueError(reply)

    with pytest.raises(ValueError, match="0"):
        pool.pipeline(commands, Attempts(address, 5), fail)
    assert pool.call(pack(("ECHO", "4")), Attempts(address, 5)) == b"4"
    pool.pipeline(commands[2:], Attempts(address, 5), replies.append)
    assert replies == [b"2", b"3"]
    pool.close()
    with pytest.raises(ProducerClosed):
        pool.call(PING, Attempts(address, 5))


def test_a_connection_opened_in_a_hurry_is_not_kept(redis_url: str) -> None:
    """A connection whose time limit was cut short by the end of its call serves that call only."""
    with Proxy(redis_url) as proxy:
        address = Address.of_dsn(proxy.url)
        pool = BlockingPool(address, 4, 5)
        for _ in range(2):
            assert pool.call(PING, Attempts(address, 1)) == b"PONG"
        assert proxy.connections == 2
        pool.call(PING, Attempts(address, 5))
        with proxy.black_hole(), pytest.raises(TimeoutError):
            pool.call(PING, Attempts(address, 0.05))
        pool.close()


def test_threads_wait_for_a_free_connection(redis_url: str) -> None:
    """More threads than connections: all are served, by no more than allowed; or they are told."""
    with Proxy(redis_url) as proxy:
        address = Address.of_dsn(proxy.url)
        pool = BlockingPool(address, 2, 5)
        with ThreadPoolExecutor(8) as threads:
            calls = [threads.submit(pool.call, pack(("ECHO", n)), Attempts(address, 5)) for n in range(100)]
            assert [call.result() for call in calls] == [str(n).encode() for n in range(100)]
        assert proxy.connections <= 2
        single = BlockingPool(address, 1, 5)
        single.call(PING, Attempts(address, 5))
        waiting = threading.Thread(target=single.call, args=(PING, Attempts(address, 5)))
        with proxy.black_hole():
            waiting.start()
            while single._own_slots().acquire(blocking=False):
                single._own_slots().release()
            with pytest.raises(TimeoutError, match="in use"):
                single.call(PING, Attempts(address, 0.05))
        waiting.join()
        for each in (pool, single):
            each.close()


def test_connections_idle_for_long_are_closed(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was not used for long may be dead without anybody knowing, and is not tried (F44)."""
    idle = IdleConnections()
    connection = Address.of_dsn(redis_url).blocking_connection(5)
    connection.connect()
    idle.give(connection)
    assert idle.take() is connection
    idle.give(connection)
    monkeypatch.setattr(rrq_producer.pool, "IDLE_S", 0)
    assert idle.take() is None
    idle.close()
    with pytest.raises(ProducerClosed):
        idle.take()
