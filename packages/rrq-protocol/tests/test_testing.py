"""Crash points: where a process dies, and that only a checkout knows them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from rrq_protocol import Keyspace
from rrq_protocol._checkout import at_crash_points
from rrq_protocol.settings import RedisTarget, connection_pool, lone_connection
from rrq_protocol.testing import make_reach

PROGRAM = """
import os
from rrq_protocol import Keyspace
from rrq_protocol.transitions import cancel
call = cancel(Keyspace(), "j")
for number in range(3):
    call.evalsha_args()
    print(number, flush=True)
    call.result(b"gone")
"""


def run(**environ: str) -> subprocess.CompletedProcess[str]:
    """Run the program with these variables."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environ, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    ("label", "printed"), [("cancel.before", 0), ("cancel.after", 1), ("cancel.after:3", 3)]
)
def test_a_process_dies_where_it_is_told_to(label: str, printed: int) -> None:
    """At the n-th time the label is reached, by SIGKILL."""
    done = run(RRQ_CRASH_AT=label)
    assert (done.returncode, len(done.stdout.split())) == (-9, printed)


def test_other_labels_do_nothing() -> None:
    """Nor does a process without the variables."""
    assert run(RRQ_CRASH_AT="claim.before").returncode == 0
    assert make_reach({}) is None


def test_a_wheel_knows_no_crash_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed from a wheel cannot be killed by a variable."""
    monkeypatch.setattr("rrq_protocol.testing.find_spec", lambda _: None)
    assert make_reach({"RRQ_CRASH_AT": "claim.before"}) is None


def _pool(url: str, library: Any) -> tuple[Any, list[str]]:
    """Return a pool whose connections tell of the labels they reach, and where they do."""
    pool, labels = connection_pool(RedisTarget.of(url), library, protocol=2, max_connections=1), list[str]()
    pool.connection_class = at_crash_points(pool.connection_class, labels.append, library)
    return pool, labels


def _around(*commands: str) -> list[str]:
    return [f"{each}.{where}" for each in commands for where in ("before", "after")]


def test_labels_around_a_blocking_clients_commands(redis_url: str, keyspace: Keyspace) -> None:
    """Single ones, an error among them, then a pipeline; a call of a script has labels of its own."""
    pool, labels = _pool(redis_url, redis)
    key = keyspace.job("j")
    with redis.Redis.from_pool(pool) as client:
        client.ping()
        del labels[:]
        client.get(key)
        with pytest.raises(redis.ResponseError):
            client.execute_command("LPUSH", key)
        client.eval("return 1", 0)
        assert labels == _around("get", "lpush")
        del labels[:]
        with client.pipeline(transaction=True) as pipe:
            pipe.hset(key, "status", "PENDING").hget(key, "status").execute()
        names = ("multi", "hset", "hget", "exec")
        assert labels == [f"{each}.{where}" for where in ("before", "after") for each in names]
        del labels[:]
        client.connection_pool.disconnect()
        client.exists(key)
        assert labels[-1] == "exists.after", "a new connection owes nothing of an old one"


@pytest.mark.anyio
async def test_labels_around_an_async_clients_commands(redis_url: str, keyspace: Keyspace) -> None:
    """The same; what is published to a channel is no reply, and neither is silence."""
    pool, labels = _pool(redis_url, redis.asyncio)
    connection = pool.make_connection()
    try:
        await connection.connect()
        del labels[:]
        for command in (("GET", "x"), ("SUBSCRIBE", keyspace.prefix)):
            await connection.send_command(*command)
            await connection.read_response()
        assert await connection.read_response(timeout=0.01) is None
        assert labels == _around("get", "subscribe")
        await connection.send_command("PING")
        async with redis.asyncio.Redis.from_url(redis_url) as other:
            await other.publish(keyspace.prefix, "done")
        heard = [(await connection.read_response())[0] for _ in range(2)]
        assert sorted(heard) == [b"message", b"pong"]
        assert labels[4:] == _around("ping")
        await connection.send_packed_command(connection.pack_commands([("UNSUBSCRIBE",), ("PING",)]))
        await connection.read_response()
        assert labels[6:] == ["unsubscribe.before", "ping.before", "unsubscribe.after"]
    finally:
        await connection.disconnect()


@pytest.mark.parametrize("library", [redis, redis.asyncio], ids=["blocking", "async"])
def test_ordinary_connections_are_the_librarys_own(library: Any) -> None:
    """Nothing is put between a program and its client library where nobody asked for a crash point."""
    target = RedisTarget.of("redis://h")
    assert connection_pool(target, library).connection_class is library.Connection
    assert type(lone_connection(target, library)) is library.Connection
