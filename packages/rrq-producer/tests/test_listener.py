"""Waiting for announcements in blocking code."""

import threading
import time
from typing import Any

import pytest

import rrq_producer.listener
from rrq_producer.address import Address
from rrq_producer.errors import ProducerClosed, RedisRefused
from rrq_producer.listener import Listener
from rrq_protocol import Keyspace
from support.proxy import Proxy


def test_a_subscription_calls_once_it_stands_and_at_each_message(
    redis_url: str, redis_client: Any, keyspace: Keyspace
) -> None:
    """The first call to look comes when nothing can be missed any more, the next with the announcement."""
    listener = Listener(Address.of_dsn(redis_url))
    channel = keyspace.channel("a")
    with listener.subscribed(channel) as subscription:
        subscription.next(10)
        assert redis_client.pubsub_numsub(channel) == [(channel.encode(), 1)]
        before = subscription.status
        redis_client.publish(keyspace.channel("b"), "FAILED")
        redis_client.publish(channel, "COMPLETED")
        subscription.next(10)
        assert (before, subscription.status) == (None, b"COMPLETED")
        subscription.next(0.01)
    listener.close()
    with pytest.raises(ProducerClosed), listener.subscribed(channel) as subscription:
        subscription.next(1)


def test_the_next_waiter_takes_the_connection(redis_url: str, keyspace: Keyspace) -> None:
    """Waiters one after another need one connection, and what one left over does not call the next."""
    with Proxy(redis_url) as proxy:
        listener = Listener(Address.of_dsn(proxy.url))
        for name in "abc":
            with listener.subscribed(keyspace.channel(name)) as subscription:
                subscription.next(10)
                started = time.monotonic()
                subscription.next(0.05)
                assert time.monotonic() - started >= 0.05
        assert proxy.connections == 1
        listener.close()


def test_a_silent_connection_is_made_anew(
    redis_url: str, keyspace: Keyspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that does not even answer a ping is replaced, and the waiter is called to look again
    (F44)."""
    monkeypatch.setattr(rrq_producer.listener, "MAX_ATTEMPT_S", 0.02)
    with Proxy(redis_url) as proxy:
        listener = Listener(Address.of_dsn(proxy.url))
        with listener.subscribed(keyspace.channel("a")) as subscription:
            subscription.next(10)
            with proxy.black_hole():
                for _ in range(3):
                    subscription.next(0.05)
            monkeypatch.undo()
            while proxy.connections < 2:
                subscription.next(5)
        listener.close()


def test_a_lost_connection_is_made_anew(redis_url: str, keyspace: Keyspace) -> None:
    """A subscription cut off stands again without the waiter's doing, and calls the waiter to look."""
    with Proxy(redis_url) as proxy:
        listener = Listener(Address.of_dsn(proxy.url))
        with listener.subscribed(keyspace.channel("a")) as subscription:
            subscription.next(10)
            cutter = threading.Thread(target=proxy.cut_all)
            cutter.start()
            subscription.next(10)
            cutter.join()
            assert proxy.connections == 2
        listener.close()


def test_a_refused_subscription_is_an_error(redis_url: str, keyspace: Keyspace) -> None:
    """A right that is missing does not come by waiting."""
    with Proxy(redis_url) as proxy:
        listener = Listener(Address.of_dsn(proxy.url))
        proxy.answer(b"-NOPERM No permissions to access a channel\r\n", 1, marker=b"SUBSCRIBE")
        with (
            pytest.raises(RedisRefused, match="ACL SETUSER"),
            listener.subscribed(keyspace.channel("a")) as subscription,
        ):
            subscription.next(10)
        listener.close()
