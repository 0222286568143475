"""Group commit while Redis, or the way to it, fails."""

import asyncio
import itertools
import threading
from typing import Any

import pytest
import redis
import uvloop

from rrq_producer import (
    AsyncProducer,
    DuplicateJob,
    EnqueuedJob,
    QueueFull,
    RedisRefused,
    RedisUnavailable,
)
from rrq_protocol import Keyspace
from support.enqueuing import (
    begin,
    created,
    queued,
    script_calls,
    settled,
    until,
    warm,
)
from support.proxy import Proxy
from support.redis_servers import RedisServer

pytestmark = pytest.mark.anyio


async def test_a_reply_cut_off_makes_each_job_once(
    aio: AsyncProducer, proxy: Proxy, redis_client: Any, keyspace: Keyspace
) -> None:
    """A group whose reply is lost is repeated with the same jobs: each is there once, created by its own
    call; of two calls for one id, by one of them (F2, F46)."""
    proxy.cut_replies(2, marker=b"twin")
    calls = [begin(aio) for _ in range(200)]
    twins = [begin(aio, "twin", on_conflict="return_existing") for _ in range(3)]
    outcomes = await settled(*calls)
    assert all(isinstance(outcome, EnqueuedJob) and outcome.created for outcome in outcomes)
    assert [outcome.created for outcome in await asyncio.gather(*twins)] == [True, False, False]
    assert len(queued(redis_client, keyspace)) == 201
    assert redis_client.hget(keyspace.stats("default"), "enqueued") == b"201"


async def test_a_server_killed_before_it_answers(own_redis: RedisServer, keyspace: Keyspace) -> None:
    """The server takes a group in and is killed before the reply: when it is back, every call gets its one
    job, with what the server still has of it (F25)."""
    with Proxy(own_redis.url) as proxy, redis.Redis.from_url(own_redis.url) as client:
        async with AsyncProducer(proxy.url, key_prefix=keyspace.prefix, timeout_seconds=30) as producer:
            await warm(producer)
            proxy.silence(2)
            calls = [begin(producer) for _ in range(200)]
            await until(lambda: len(queued(client, keyspace)) == 200)
            await asyncio.to_thread(own_redis.kill)
            restart = threading.Thread(target=own_redis.start)
            restart.start()
            outcomes = await asyncio.gather(*calls)
            restart.join()
        assert all(outcome.created for outcome in outcomes)
        assert sorted(queued(client, keyspace)) == sorted(outcome.id for outcome in outcomes)


@pytest.mark.parametrize("factory", [None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_restarts_under_many_calls(factory: Any, own_redis: RedisServer, keyspace: Keyspace) -> None:
    """The server is killed and started again and again while many enqueue and ask, on either event loop: no
    error surfaces, and each id is one job (F25)."""

    async def main() -> set[str]:
        done: set[str] = set()
        ending = asyncio.Event()

        async def caller(producer: AsyncProducer, name: int) -> None:
            for n in itertools.count():
                if ending.is_set():
                    return
                job_id = f"{name}-{n}"
                assert await producer.enqueue("f", job_id=job_id, on_conflict="raise") == EnqueuedJob(
                    job_id, True
                )
                done.add(job_id)
                assert await producer.get_job_status(job_id) is not None

        async with (
            AsyncProducer(own_redis.url, key_prefix=keyspace.prefix, timeout_seconds=30) as producer,
            asyncio.TaskGroup() as tasks,
        ):
            for name in range(30):
                tasks.create_task(caller(producer, name))
            for _ in range(4):
                before = len(done)
                await until(lambda: len(done) > before + 100)  # noqa: B023
                await asyncio.to_thread(own_redis.kill)
                await asyncio.to_thread(own_redis.start)
            ending.set()
        return done

    with asyncio.Runner(loop_factory=factory) as runner, redis.Redis.from_url(own_redis.url) as client:
        done = runner.run(main())
        members = queued(client, keyspace)
        assert sorted(members) == sorted(done)


async def test_a_full_server_is_everybodys_error(own_redis: RedisServer, keyspace: Keyspace) -> None:
    """Without memory left, every caller of a group is told, by an error of its own, and nothing is written
    (F32)."""
    with redis.Redis.from_url(own_redis.url) as client:
        async with AsyncProducer(own_redis.url, key_prefix=keyspace.prefix) as producer:
            await producer.enqueue("f", queue_name="warm")
            client.config_set("maxmemory", "1")
            outcomes = await settled(*(begin(producer) for _ in range(20)))
            assert {type(outcome) for outcome in outcomes} == {QueueFull}
            assert len({id(outcome) for outcome in outcomes}) == 20
            assert queued(client, keyspace) == []
            client.config_set("maxmemory", "0")
            assert (await producer.enqueue("f")).created


async def test_what_one_may_not_do_is_not_refused_to_others(
    own_redis: RedisServer, keyspace: Keyspace
) -> None:
    """A right that is missing for one job's queue refuses that job and no other, though the script stops at
    it, with those before it accepted (F37)."""
    parts = ("job:*", "queue:good", "queue:warm", "queues", "wake:*", "stats:*")
    with redis.Redis.from_url(own_redis.url) as client:
        client.acl_setuser(
            "some", enabled=True, passwords=["+secret"], commands=["+@all"],
            keys=[f"{keyspace.prefix}:{part}" for part in parts],
        )  # fmt: skip
        url = own_redis.url.replace("//", "//some:secret@")
        async with AsyncProducer(url, key_prefix=keyspace.prefix) as producer:
            queues = ["warm", "good", "good", "bad", "good", "bad", "good"]
            calls = [begin(producer, f"id-{n}", queue_name=queue) for n, queue in enumerate(queues)]
            outcomes = await settled(*calls)
        # The server does not know the script, then refuses all seven together, then is asked for each.
        assert script_calls(client) == 1 + 1 + len(calls)
        for n, (queue, outcome) in enumerate(zip(queues, outcomes, strict=True)):
            if queue == "bad":
                assert isinstance(outcome, RedisRefused)
                assert (outcome.attempts, outcome.unsure) == (1, False)
            else:
                assert outcome == EnqueuedJob(f"id-{n}", True)
        assert sorted(queued(client, keyspace, "good")) == ["id-1", "id-2", "id-4", "id-6"]


@pytest.mark.parametrize(
    ("reply", "count"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", 2),
        (b"-MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk.\r\n", 2),
        (b"-NOSCRIPT No matching script.\r\n", 1),
    ],
    ids=lambda value: value.split()[0].decode() if isinstance(value, bytes) else "",
)
async def test_what_passes_is_waited_for_together(
    aio: AsyncProducer, proxy: Proxy, redis_client: Any, keyspace: Keyspace, reply: bytes, count: int
) -> None:
    """A server that cannot work for the moment, or has forgotten the script: the group goes out again."""
    await aio.enqueue("f", job_id="old")
    proxy.answer(reply, count, marker=b"id-7")
    calls = [begin(aio, f"id-{n}") for n in range(9)]
    # A refused attempt had no effect, so what was there before is not taken for one's own.
    calls.append(begin(aio, "old"))
    *outcomes, old = await settled(*calls)
    assert outcomes == created(*(f"id-{n}" for n in range(9)))
    assert isinstance(old, DuplicateJob)
    assert proxy.answers_left() == 0
    assert queued(redis_client, keyspace) == ["old", *(f"id-{n}" for n in range(9))]


async def test_what_does_not_pass_in_time_is_everybodys_error(proxy: Proxy, keyspace: Keyspace) -> None:
    """The attempts of a group have pauses in between, and count for each of its members."""
    async with AsyncProducer(proxy.url, key_prefix=keyspace.prefix, timeout_seconds=0.5) as producer:
        proxy.answer(b"-LOADING Redis is loading the dataset in memory\r\n", 1000)
        for outcome in await settled(*(begin(producer) for _ in range(5))):
            assert isinstance(outcome, RedisUnavailable)
            assert outcome.attempts >= 2
            assert outcome.waited_s > 0.05


async def test_a_malformed_reply_is_an_error_for_each(aio: AsyncProducer, proxy: Proxy) -> None:
    """A reply that cannot be understood leaves nobody waiting, and the connection goes on being used."""
    proxy.answer(b"*2\r\n$7\r\nunheard\r\n$1\r\nx\r\n", 100)
    outcomes = await settled(*(begin(aio) for _ in range(5)))
    assert {type(outcome) for outcome in outcomes} == {ValueError}
    proxy.answer(b"", 0)
    assert (await aio.enqueue("f")).created
    assert proxy.connections == 2


async def test_a_silent_connection_holds_up_nobody_else(
    aio: AsyncProducer, proxy: Proxy, redis_client: Any, keyspace: Keyspace
) -> None:
    """While one group waits for a connection that has gone silent, later calls take another one."""
    proxy.silence(1)
    first = begin(aio, "first")
    await until(lambda: redis_client.exists(keyspace.job("first")))
    async with asyncio.timeout(4):  # less than a silent connection is given
        assert await asyncio.gather(*(begin(aio, f"id-{n}") for n in range(300)))
        for n in range(3):
            assert (await begin(aio, f"later-{n}")).created
    assert not first.done()
    assert await settled(first) == created("first")
    assert proxy.connections <= 4


async def test_nobody_waits_longer_than_its_time(proxy: Proxy, keyspace: Keyspace) -> None:
    """With no way to Redis, all of a thousand calls are told when their time is up, not one after the
    other."""
    async with AsyncProducer(proxy.url, key_prefix=keyspace.prefix, timeout_seconds=1) as producer:
        await producer.enqueue("f")
        for fault in (proxy.refusing, proxy.black_hole):
            with fault():
                loop = asyncio.get_running_loop()
                started = loop.time()
                outcomes = await settled(*(begin(producer) for _ in range(1000)))
                assert {type(outcome) for outcome in outcomes} == {RedisUnavailable}
                assert loop.time() - started < 8
