"""Connections that come back."""

import asyncio
import random
import socket
from functools import partial

import pytest
import redis
import structlog

from rrq_orchestrator.errors import RedisGone, RedisRefused
from rrq_orchestrator.store import RedisLinks
from rrq_orchestrator.store.redis import RedisLink
from rrq_protocol import Keyspace, script_source
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
    assert (await link.run(call)).now_ms > 0
    await link.command("SCRIPT", "FLUSH")
    assert (await link.run(call)).now_ms > 0
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


async def test_what_was_never_sent_is_known_not_to_have_happened(own_redis: RedisServer) -> None:
    """A connection found closed, and one that cannot be made, are no doubt about what the call did; a reply
    that does not come is.
    """
    links = links_to(own_redis.url)
    link, asking = links.make("a"), links.make("b")
    await link.command("PING")
    reader = link._connection._reader
    assert reader is not None
    blocked = asyncio.create_task(asking.command("BLPOP", "nothing", "0"))
    await links.make("c").until_done(lambda: _blocked(link))
    own_redis.stop()
    with pytest.raises(RedisGone) as cut_off:
        await blocked
    while not reader.at_eof():  # noqa: ASYNC110 - nothing tells that the end of a connection came
        await asyncio.sleep(0)
    errors = [cut_off.value]
    for _ in range(2):
        with pytest.raises(RedisGone) as error:
            await link.command("PING")
        errors.append(error.value)
    assert [error.sent for error in errors] == [True, False, False]
    await links.aclose()


async def _blocked(link: RedisLink) -> None:
    """Wait until a client blocks."""
    while b"blocked_clients:1" not in await link.command("INFO", "clients"):
        pass


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
    """Before the work has begun, the process ends with the error itself, and one message is enough."""
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
            links.reached = True
            admin.config_set("requirepass", "secret")
        with pytest.raises(RedisRefused):
            await links.make("b").command("PING")
        assert [entry["event"] for entry in logged] == ["redis.lost"]
    await links.aclose()


async def test_a_replica_is_told_once_until_it_takes_a_write(
    own_redis: RedisServer, keyspace: Keyspace
) -> None:
    """Answers to reads in between do not make it ready: there is no back and forth (F29, F30)."""
    with structlog.testing.capture_logs() as logged:
        links = RedisLinks(own_redis.url, "test", structlog.get_logger(), random.Random(1))
        link = links.make("a")
        call = register(keyspace, Lease("o1", 1000, b"{}", 1000))
        await link.command("REPLICAOF", "127.0.0.1", "1")
        for _ in range(5):
            with pytest.raises(RedisGone, match="READONLY"):
                await link.run(call)
            await link.command("PING")
            assert (links.connected, links.refuses_writes) == (False, True)
        await link.command("REPLICAOF", "NO", "ONE")
        await link.run(call)
        links.written()
        assert (links.connected, links.refuses_writes) == (True, False)
    assert [entry["event"] for entry in logged] == ["redis.refuses_writes", "redis.takes_writes"]
    assert "replica" in logged[0]["action"]
    await links.aclose()


async def test_a_missing_right_is_told_once_until_it_is_given(own_redis: RedisServer) -> None:
    """What the link may do besides neither ends it nor makes the server count as away."""
    with structlog.testing.capture_logs() as logged:
        links = RedisLinks(own_redis.url, "test", structlog.get_logger(), random.Random(1))
        links.reached = True
        link, admin = links.make("a"), links.make("b")
        await admin.command("ACL", "SETUSER", "default", "-zcard")
        for _ in range(3):
            with pytest.raises(RedisRefused, match="give this user the right"):
                await link.command("ZCARD", "x")
            await link.command("PING")
            assert links.connected
        await admin.command("ACL", "SETUSER", "default", "+zcard")
        await link.command("ZCARD", "x")
    assert [(entry["event"], entry["link"]) for entry in logged] == [
        ("redis.refused", "a"),
        ("redis.allowed", "a"),
    ]
    assert "NOPERM" in logged[0]["problem"]
    await links.aclose()


async def test_what_jobs_need_and_redis_refuses(own_redis: RedisServer, keyspace: Keyspace) -> None:
    """Of the links that jobs need; a script is one command, asked for by its text or its hash."""
    links = RedisLinks(own_redis.url, "test", structlog.get_logger(), random.Random(1))
    links.reached = True
    call = register(keyspace, Lease("o1", 1000, b"{}", 1000))
    claims, other, admin = links.make("claim"), links.make("cron"), links.make("b")
    await admin.command("ACL", "SETUSER", "default", "-eval", "-zcard")
    for link in (claims, other):
        with pytest.raises(RedisRefused):
            await link.run(call)
    assert links.refused_work.startswith("claim: NOPERM")
    await admin.command("SCRIPT", "LOAD", script_source(call.script))
    await claims.run(call)
    assert links.refused_work == ""
    with pytest.raises(RedisRefused):
        await other.command("ZCARD", "x")
    assert links.refused_work == ""
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


async def test_an_answer_to_an_older_question_is_no_end_of_an_outage(own_redis: RedisServer) -> None:
    """It may have been on its way when the server died; the next one says that Redis is back."""
    with structlog.testing.capture_logs() as logged, redis.Redis.from_url(own_redis.url) as admin:
        links = RedisLinks(own_redis.url, "test", structlog.get_logger(), random.Random(1))
        waiting, other = links.make("waiting", reply_timeout_s=30), links.make("other")
        blocked = asyncio.create_task(waiting.command("BLPOP", "list", "20"))
        await _blocked(other)
        writer = other._connection._writer
        assert writer is not None
        writer.transport.abort()
        with pytest.raises(RedisGone):
            await other.command("PING")
        admin.lpush("list", "1")
        assert await blocked
        assert [entry["event"] for entry in logged] == ["redis.lost"]
        await waiting.command("PING")
        assert [entry["event"] for entry in logged] == ["redis.lost", "redis.back"]
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


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": use}) for use in (False, True)])
async def test_giving_up_on_a_silent_server_takes_no_time() -> None:
    """Whatever the connection was about to do when it was cancelled, no answer is waited for."""
    for turns in range(20):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            links = links_to(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
            asking = asyncio.create_task(links.make("a").command("PING"))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            async with asyncio.timeout(2):
                await asyncio.gather(asking, return_exceptions=True)
            assert asking.cancelled()
            await links.aclose()
