"""Connections that come back."""

import asyncio
import random
from functools import partial

import pytest
import redis
import structlog

from rrq_orchestrator.errors import RedisGone, RedisRefused
from rrq_orchestrator.store import RedisLinks
from rrq_protocol import Keyspace
from rrq_protocol.transitions import Lease, register
from support.orchestrating import LOG
from support.redis_servers import RedisServer

pytestmark = pytest.mark.anyio


def links_to(url: str) -> RedisLinks:
    return RedisLinks(url, "test", LOG, random.Random(1))


async def test_a_forgotten_script_is_sent_again(redis_url: str, keyspace: Keyspace) -> None:
    """SCRIPT FLUSH or a failover costs one more round trip, nothing else (F34)."""
    links = links_to(redis_url)
    link = links.make("a")
    call = register(keyspace, Lease("o1", 1000, b"{}", 1000))
    assert await link.run(call) > 0
    await link.command("SCRIPT", "FLUSH")
    assert await link.run(call) > 0
    await links.aclose()


async def test_an_outage_is_an_error_once_and_waited_out_on_demand(own_redis: RedisServer) -> None:
    """`run` reports it, `until_done` waits; afterwards the same link works."""
    links = links_to(own_redis.url)
    link = links.make("a")
    assert await link.command("PING") in (b"PONG", "PONG", True)
    own_redis.stop()
    with pytest.raises(RedisGone):
        await link.command("PING")
    assert [links.connected] == [False]
    waiting = asyncio.create_task(link.until_done(lambda: link.command("ECHO", "hi")))
    own_redis.start()
    assert await waiting == b"hi"
    assert [links.connected] == [True]
    await links.aclose()


async def test_a_refusal_is_told_apart_from_an_outage(own_redis: RedisServer) -> None:
    """A password that is asked for and not given is a matter for a person."""
    links = links_to(own_redis.url)
    link = links.make("a")
    await link.command("CONFIG", "SET", "requirepass", "secret")
    stranger = links.make("b")
    with pytest.raises(RedisRefused, match="check redis_dsn"):
        await stranger.command("PING")
    await links.aclose()


async def test_a_refusal_is_logged_only_where_redis_had_answered_before(own_redis: RedisServer) -> None:
    """Before that, the process ends with the error itself, and one message is enough."""
    with structlog.testing.capture_logs() as logged:
        links = RedisLinks(own_redis.url, "test", structlog.get_logger(), random.Random(1))
        link = links.make("a")
        with redis.Redis.from_url(own_redis.url) as admin:
            admin.config_set("requirepass", "secret")
            with pytest.raises(RedisRefused):
                await link.command("PING")
            assert logged == []
            admin.config_set("requirepass", "")
            await link.command("PING")
            admin.config_set("requirepass", "secret")
        with pytest.raises(RedisRefused):
            await links.make("b").command("PING")
        assert [entry["event"] for entry in logged] == ["redis.lost"]
    await links.aclose()


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": use}) for use in (False, True)])
async def test_a_connection_that_breaks_under_a_write_is_an_outage(redis_url: str) -> None:
    """Whatever the event loop calls it; the next command has a new connection."""
    links = links_to(redis_url)
    link = links.make("a")
    await link.command("PING")
    writer = link._connection._writer
    assert writer is not None
    writer.transport.abort()
    with pytest.raises(RedisGone):
        await link.command("PING")
    assert await link.command("ECHO", "hi") == b"hi"
    await links.aclose()


async def test_an_outage_is_told_once_however_many_connections_it_broke(own_redis: RedisServer) -> None:
    """A link that was idle meanwhile finds its connection broken when Redis is back: that is no news."""
    with structlog.testing.capture_logs() as logged:
        links = RedisLinks(own_redis.url, "test", structlog.get_logger(), random.Random(1))
        busy, idle = links.make("busy"), links.make("idle")
        for turn in (1, 2):
            await busy.command("PING")
            await idle.command("PING")
            own_redis.restart()
            for link in (busy, idle):
                await link.until_done(partial(link.command, "PING"))
            assert [entry["event"] for entry in logged] == ["redis.lost", "redis.back"] * turn
    await links.aclose()


async def test_a_cancelled_command_leaves_no_reply_for_the_next(redis_url: str) -> None:
    """Replies never get mixed up, whatever is cancelled when (S31)."""
    links = links_to(redis_url)
    link = links.make("a")
    for turn in range(50):
        task = asyncio.create_task(link.command("ECHO", f"cancelled {turn}"))
        for _ in range(turn % 7):
            await asyncio.sleep(0)
        task.cancel()
        assert await link.command("ECHO", f"kept {turn}") == f"kept {turn}".encode()
        await asyncio.gather(task, return_exceptions=True)
    await links.aclose()
