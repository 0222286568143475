"""The fixtures that every test against Redis stands on, here with whatever Redis integration tests were
given.
"""

from typing import TYPE_CHECKING

import pytest
import redis
import redis.asyncio

from support.redis_servers import RedisServer

if TYPE_CHECKING:
    from rrq_protocol import Keyspace


def test_a_given_server_answers(redis_client: "redis.Redis") -> None:
    """The session's server is there, and its client answers in bytes."""
    assert redis_client.echo("ping") == b"ping"


def test_two_key_spaces_differ(keyspace: "Keyspace", redis_client: "redis.Redis") -> None:
    """Each test's keys are its own: the key space starts empty."""
    assert list(redis_client.scan_iter(match=f"{keyspace.prefix}:*")) == []


def test_acknowledged_writes_survive_a_kill(own_redis: RedisServer) -> None:
    """A server of the test's own keeps what it acknowledged over SIGKILL, under the same URL, as another
    process.
    """
    first = own_redis.pid
    with redis.Redis.from_url(own_redis.url) as client:
        client.set("kept", "1")
        own_redis.kill()
        with pytest.raises(redis.ConnectionError):
            client.get("kept")
        own_redis.start()
        assert client.get("kept") == b"1"
    assert own_redis.pid != first


def test_restart_keeps_the_data(own_redis: RedisServer) -> None:
    """A gentle restart loses nothing either."""
    with redis.Redis.from_url(own_redis.url) as client:
        client.set("kept", "1")
    own_redis.restart()
    with redis.Redis.from_url(own_redis.url) as client:
        assert client.get("kept") == b"1"


@pytest.mark.anyio
async def test_the_async_client_works(aredis: "redis.asyncio.Redis") -> None:
    """The async client speaks to the same server."""
    assert await aredis.ping()
