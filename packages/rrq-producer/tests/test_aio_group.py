"""Group commit: which calls travel together, what each of them gets, and who may leave when."""

import asyncio
import functools
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis

from rrq_producer import (
    AsyncProducer,
    DuplicateJob,
    EnqueuedJob,
    InvalidJob,
    Job,
    ProducerClosed,
    QueueFull,
    RedisRefused,
    RedisUnavailable,
    WrongKeyType,
)
from rrq_producer.aio_group import GROUP_JOBS
from rrq_protocol import Keyspace
from support.proxy import Proxy
from support.redis_servers import RedisServer

pytestmark = pytest.mark.anyio

Call = asyncio.Future[EnqueuedJob]


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    """Serve a proxy in front of the session's Redis."""
    with Proxy(redis_url) as made:
        yield made


@pytest.fixture
def commands(redis_client: Any) -> Callable[[], int]:
    """Return what tells how many script calls the server has had."""
    return functools.partial(script_calls, redis_client)


def script_calls(client: Any) -> int:
    """Return how many script calls a server has had."""
    stats = client.info("commandstats")
    return sum(int(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"]) for name in ("evalsha", "eval"))


@pytest.fixture
async def aio(proxy: Proxy, keyspace: Keyspace, anyio_backend: str) -> AsyncIterator[AsyncProducer]:
    """Serve a producer behind the proxy, with two connections open."""
    async with AsyncProducer(proxy.url, key_prefix=keyspace.prefix) as producer:
        await warm(producer)
        yield producer


@asynccontextmanager
async def held(aio: AsyncProducer, proxy: Proxy, redis_client: Any) -> AsyncIterator[None]:
    """Hold back all replies while the block runs, one call being under way: those that begin in the block
    gather behind it."""
    with proxy.black_hole():
        first = begin(aio, "first")
        await until(lambda: redis_client.exists(aio._rules.keyspace.job("first")))
        yield
    assert await first == EnqueuedJob("first", True)


async def warm(producer: AsyncProducer) -> None:
    """Have a producer open two connections, and the server learn the script."""
    await producer.enqueue("f", queue_name="warm")
    await asyncio.gather(*(producer.get_job_status("none") for _ in range(2)))


def begin(producer: AsyncProducer, job_id: str | None = None, **options: Any) -> Call:
    """Return a call that starts with the next turn of the loop; the job is never allowed to be there."""
    options = {"on_conflict": "raise", **options}
    return asyncio.ensure_future(producer.enqueue("f", job_id=job_id, **options))


async def until(condition: Callable[[], object]) -> None:
    """Return once a condition on another process holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nothing in this process tells
            await asyncio.sleep(0.001)


async def settled(*calls: Call) -> list[EnqueuedJob | BaseException]:
    """Return what became of each call."""
    async with asyncio.timeout(20):
        return await asyncio.gather(*calls, return_exceptions=True)


def queued(redis_client: Any, keyspace: Keyspace, queue: str = "default") -> list[str]:
    """Return the ids in a queue, in order."""
    return [member.decode() for member in redis_client.zrange(keyspace.queue(queue), 0, -1)]


def created(*ids: str) -> list[EnqueuedJob]:
    """Return the outcomes of calls that each created its job."""
    return [EnqueuedJob(job_id, True) for job_id in ids]


async def test_calls_awaited_together_travel_together(
    redis_url: str, redis_client: Any, keyspace: Keyspace, commands: Callable[[], int]
) -> None:
    """A thousand gathered calls need a handful of commands; each call gets its own job, and the jobs are
    due in the order of the calls, but for the first, which went ahead."""
    async with AsyncProducer(redis_url, key_prefix=keyspace.prefix) as producer:
        for _ in range(2):
            await producer.enqueue("f", queue_name="warm")
            before = commands()
            jobs = await asyncio.gather(*(producer.enqueue("f", {"n": n}) for n in range(1000)))
            assert commands() - before == 1 + -(-999 // GROUP_JOBS)
            assert all(job.created for job in jobs)
            members = queued(redis_client, keyspace)
            members.remove(jobs[0].id)
            assert members == [job.id for job in jobs[1:]]
            for n in (0, 1, 255, 256, 257, 999):
                assert redis_client.hget(keyspace.job(jobs[n].id), "job_params") == b'{"n":%d}' % n
            redis_client.delete(keyspace.queue("default"))


async def test_what_is_called_while_a_connection_opens_goes_along(
    redis_url: str, keyspace: Keyspace, commands: Callable[[], int]
) -> None:
    """Nothing can go out before there is a connection, so what was called until then is one group."""
    async with AsyncProducer(redis_url, key_prefix=keyspace.prefix) as producer:
        await producer.enqueue("f")
    async with AsyncProducer(redis_url, key_prefix=keyspace.prefix) as producer:
        before = commands()
        assert all(job.created for job in await asyncio.gather(*(producer.enqueue("f") for _ in range(100))))
        assert commands() - before == 1


async def test_a_call_on_its_own_goes_out_at_once(
    proxy: Proxy, keyspace: Keyspace, redis_client: Any, commands: Callable[[], int]
) -> None:
    """With nothing under way, a call is sent before it first yields to the loop, and is a command of its
    own."""
    async with AsyncProducer(proxy.url, key_prefix=keyspace.prefix) as producer:
        await producer.enqueue("f")
        before = commands()
        proxy.cut_replies(1)
        call = begin(producer)
        await asyncio.sleep(0)
        proxy.wait_for_cut()  # in the loop's thread: nothing else can happen in the loop meanwhile
        assert commands() - before == 1
        assert (await call).created


async def test_what_was_called_meanwhile_goes_out_next(
    aio: AsyncProducer, proxy: Proxy, redis_client: Any, commands: Callable[[], int]
) -> None:
    """Calls that begin while another is under way, in whatever turn of the loop, share the next command."""
    calls = []
    async with held(aio, proxy, redis_client):
        before = commands()
        for n in range(10):
            calls.append(begin(aio, f"id-{n}"))
            await asyncio.sleep(0)
    assert await settled(*calls) == created(*(f"id-{n}" for n in range(10)))
    assert commands() - before == 1


async def test_large_jobs_end_a_group(
    redis_url: str, redis_client: Any, keyspace: Keyspace, commands: Callable[[], int]
) -> None:
    """A group takes in no more once it has reached a mebibyte, whatever part of a job is the large one."""
    async with AsyncProducer(redis_url, key_prefix=keyspace.prefix) as producer:
        await producer.enqueue("f", queue_name="warm")
        before = commands()
        large: dict[str, Any] = {"params": {"x": "y" * 400_000}}
        await asyncio.gather(*(producer.enqueue("f", **large) for _ in range(7)))
        assert commands() - before == 3  # 1, 3, 3
        before = commands()
        large = {name: {"x": "y" * 60_000} for name in ("trace_context", "correlation_context")}
        await asyncio.gather(*(producer.enqueue("f", **large) for _ in range(19)))
        assert commands() - before == 3  # 1, 9, 9
    assert redis_client.zcard(keyspace.queue("default")) == 26


async def test_each_gets_its_own_answer(
    redis_url: str, redis_client: Any, keyspace: Keyspace, commands: Callable[[], int]
) -> None:
    """Successes and failures of all kinds in one group: nobody gets, or suffers from, the outcome of another;
    what is wrong with a job is found before anything is sent."""
    redis_client.set(keyspace.queue("mine"), "not a queue")
    async with AsyncProducer(redis_url, key_prefix=keyspace.prefix) as producer:
        await producer.enqueue("f", {"a": 1}, job_id="old", unique_key="k")
        before = commands()
        outcomes = await asyncio.gather(
            producer.enqueue("f", queue_name="warm"),
            producer.enqueue("f", {"a": 1}, job_id="old"),
            producer.enqueue("f", {"a": 1}, job_id="old", on_conflict="raise"),
            producer.enqueue("f", {"a": 2}, job_id="old"),
            producer.enqueue("f", job_id="new", on_conflict="raise"),
            producer.enqueue("f", job_id="new"),
            producer.enqueue("f", unique_key="k"),
            producer.enqueue("f", unique_key="k", on_conflict="raise"),
            producer.enqueue("f", queue_name="mine"),
            producer.enqueue("f", max_retries=0),
            producer.enqueue("f", {"x": {1, object()}}),
            producer.enqueue_with_rate_limit("f", rate_limit_key="r", rate_limit_seconds=60, job_id="one"),
            producer.enqueue_with_rate_limit("f", rate_limit_key="r", rate_limit_seconds=60),
            producer.enqueue_with_debounce(
                "f", {"n": 1}, debounce_key="d", debounce_seconds=60, job_id="late"
            ),
            producer.enqueue_with_debounce("f", {"n": 2}, debounce_key="d", debounce_seconds=60),
            producer.enqueue("f", job_id="last"),
            return_exceptions=True,
        )
    assert commands() - before == 2  # the first on its own, all others together
    expected: list[Any] = [
        EnqueuedJob("old", False), "id_exists", "id_taken", EnqueuedJob("new", True),
        EnqueuedJob("new", False), EnqueuedJob("old", False), "unique_key", WrongKeyType, InvalidJob,
        InvalidJob, EnqueuedJob("one", True), None, EnqueuedJob("late", True), EnqueuedJob("late", False),
        EnqueuedJob("last", True),
    ]  # fmt: skip
    for outcome, wanted in zip(outcomes[1:], expected, strict=True):
        if isinstance(wanted, str):
            assert isinstance(outcome, DuplicateJob)
            assert outcome.reason == wanted
        else:
            assert outcome == wanted or type(outcome) is wanted
    assert redis_client.hget(keyspace.job("late"), "job_params") == b'{"n":2}'
    assert redis_client.get(keyspace.queue("mine")) == b"not a queue"


@pytest.mark.parametrize("victim", range(4))
async def test_a_member_may_leave_at_any_moment(
    proxy: Proxy, keyspace: Keyspace, redis_client: Any, victim: int
) -> None:
    """Whichever member is cancelled, after however many turns of the loop: the others get what they would
    have got, over the same connection, and no reply is left for the next call (S31)."""
    async with AsyncProducer(proxy.url, key_prefix=keyspace.prefix, max_connections=1) as producer:
        await producer.enqueue("f", job_id="old")
        finished = turns = 0
        while finished < 3:
            calls = [begin(producer, f"{turns}-{n}") for n in range(3)]
            # Its answer depends on what was there before the group: nothing of it may be sent twice.
            calls.insert(2, begin(producer, "old"))
            for _ in range(turns):
                await asyncio.sleep(0)
            calls[victim].cancel()
            outcomes = await settled(*calls)
            ids = [f"{turns}-0", f"{turns}-1", "old", f"{turns}-2"]
            for n, (job_id, outcome) in enumerate(zip(ids, outcomes, strict=True)):
                if n == victim and isinstance(outcome, asyncio.CancelledError):
                    continue
                if job_id == "old":
                    assert isinstance(outcome, DuplicateJob)
                else:
                    assert outcome == EnqueuedJob(job_id, True)
            status = await producer.get_job_status("old")
            assert status is not None
            assert status.id == "old"
            finished += not isinstance(outcomes[victim], asyncio.CancelledError)
            turns += 1
        assert turns > 5
    # A call that is alone under way takes its connection along when it is cancelled.
    assert proxy.connections == 1 or victim == 0
    assert len(queued(redis_client, keyspace)) >= 1 + 2 * turns


async def test_the_lead_is_passed_on_and_on(
    aio: AsyncProducer, proxy: Proxy, redis_client: Any, commands: Callable[[], int]
) -> None:
    """One leader after the other is cancelled while the reply is awaited, some at the very moment they are to
    lead: the last member reads it, and nothing is sent again."""
    async with held(aio, proxy, redis_client):
        before = commands()
        calls = [begin(aio, f"id-{n}") for n in range(9)]
        await until(lambda: commands() > before)  # they were not to wait any longer
        for n in (0, 2, 4):
            calls[n].cancel()
            await asyncio.sleep(0)
            calls[n + 1].cancel()
            await asyncio.wait(calls[: n + 2])
        calls[6].cancel()
        calls[7].cancel()
        await asyncio.wait(calls[:8])
    outcomes = await settled(*calls)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[:8])
    assert outcomes[8] == EnqueuedJob("id-8", True)
    assert commands() - before == 1
    assert proxy.connections == 2


async def test_when_all_leave_nothing_is_left_behind(
    aio: AsyncProducer, proxy: Proxy, redis_client: Any, keyspace: Keyspace, commands: Callable[[], int]
) -> None:
    """With every member cancelled, sent or not, no later call gets a reply that was theirs, or waits for
    them."""
    async with held(aio, proxy, redis_client):
        before = commands()
        unsent = [begin(aio, f"unsent-{n}") for n in range(5)]
        await asyncio.sleep(0)
        for call in unsent:
            call.cancel()
        sent = [begin(aio, f"sent-{n}") for n in range(5)]
        await until(lambda: commands() > before)
        for call in sent:
            call.cancel()
        outcomes = await settled(*unsent, *sent)
        last = begin(aio, "last")
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    assert await last == EnqueuedJob("last", True)
    assert queued(redis_client, keyspace) == ["first", *(f"sent-{n}" for n in range(5)), "last"]


async def test_the_last_two_may_leave_together(proxy: Proxy, redis_client: Any, keyspace: Keyspace) -> None:
    """Whoever is told to lead at the moment of its own cancellation, with nobody left, closes the connection
    and gives its place in the pool free."""
    async with AsyncProducer(proxy.url, key_prefix=keyspace.prefix, max_connections=2) as producer:
        for turn in range(3):
            await warm(producer)
            with proxy.black_hole():
                first = begin(producer, f"{turn}-first")
                await until(lambda: redis_client.exists(keyspace.job(f"{turn}-first")))  # noqa: B023
                calls = [begin(producer, f"{turn}-{n}") for n in range(2)]
                await until(lambda: redis_client.exists(keyspace.job(f"{turn}-1")))  # noqa: B023
                calls[0].cancel()
                await asyncio.sleep(0)
                calls[1].cancel()
                await settled(*calls)
            await first


async def test_a_leader_may_leave_while_it_sends(
    aio: AsyncProducer, proxy: Proxy, redis_client: Any, keyspace: Keyspace
) -> None:
    """Cancelled with a part of a large group sent: the others' jobs go out anew, and though the first command
    reaches the server too, each exists once and counts as its caller's own."""
    with proxy.black_hole():
        with proxy.deaf():
            calls = [begin(aio, f"id-{n}", params={"x": "y" * 1_000_000}) for n in range(3)]
            await asyncio.sleep(0)
            calls[0].cancel()
            for _ in range(50):  # the other two go out together, and do not get far
                await asyncio.sleep(0)
            calls[1].cancel()
            await asyncio.wait(calls[:2])
        await until(lambda: redis_client.exists(keyspace.job("id-2")))
    assert await settled(calls[2]) == created("id-2")
    assert redis_client.hget(keyspace.stats("default"), "enqueued") == b"3"


async def test_members_come_and_go_at_random(
    proxy: Proxy, redis_client: Any, keyspace: Keyspace, rng: random.Random
) -> None:
    """Many callers, many cancellations, connections cut at random: every answer belongs to its call, whatever
    was answered is there, and every job is there once."""
    answered: list[str] = []

    async def caller(producer: AsyncProducer, name: int) -> None:
        for n in range(20):
            if rng.random() < 0.01:
                proxy.cut_replies(1)
            call = begin(producer, f"{name}-{n}")
            if rng.random() < 0.3:
                for _ in range(rng.randint(0, 20)):
                    await asyncio.sleep(0)
                call.cancel()
            (outcome,) = await settled(call)
            if not isinstance(outcome, asyncio.CancelledError):
                assert outcome == EnqueuedJob(f"{name}-{n}", True)
                answered.append(outcome.id)

    async with AsyncProducer(proxy.url, key_prefix=keyspace.prefix, max_connections=4) as producer:
        await asyncio.gather(*(caller(producer, name) for name in range(50)))
        assert (await producer.enqueue("f", queue_name="other")).created
    assert len(answered) >= 600
    members = queued(redis_client, keyspace)
    assert set(answered) <= set(members)
    assert redis_client.hget(keyspace.stats("default"), "enqueued") == b"%d" % len(members)


async def test_a_reply_cut_off_makes_each_job_once(
    aio: AsyncProducer, proxy: Proxy, redis_client: Any, keyspace: Keyspace
) -> None:
    """A group whose reply is lost is repeated with the same jobs: each is there once, created by its own
    call; of two calls for one id, by one of them (F2, F46)."""
    proxy.cut_replies(2)
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


async def test_a_full_server_is_everybodys_error(
    redis_url: str, own_redis: RedisServer, keyspace: Keyspace
) -> None:
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
        # The first on its own, then the other six together, then one by one.
        assert script_calls(client) == 1 + 1 + 6
        for n, (queue, outcome) in enumerate(zip(queues, outcomes, strict=True)):
            if queue == "bad":
                assert isinstance(outcome, RedisRefused)
                assert outcome.attempts == 1
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


async def test_what_does_not_pass_in_time_is_everybodys_error(
    aio: AsyncProducer, proxy: Proxy, redis_url: str, keyspace: Keyspace
) -> None:
    """The attempts of a group have pauses in between, and count for each of its members."""
    async with AsyncProducer(proxy.url, key_prefix=keyspace.prefix, timeout_seconds=0.5) as producer:
        proxy.answer(b"-LOADING Redis is loading the dataset in memory\r\n", 1000)
        for outcome in await settled(*(begin(producer) for _ in range(5))):
            assert isinstance(outcome, RedisUnavailable)
            assert 2 <= outcome.attempts <= 8


async def test_who_left_is_not_sent_again(
    aio: AsyncProducer, proxy: Proxy, redis_client: Any, keyspace: Keyspace
) -> None:
    """A member that is cancelled between two attempts is left out of the next one."""
    proxy.answer(b"-LOADING Redis is loading the dataset in memory\r\n", 1, marker=b"id-3")
    calls = [begin(aio, f"id-{n}") for n in range(5)]
    await until(lambda: proxy.answers_left() == 0)
    calls[3].cancel()
    outcomes = await settled(*calls)
    assert isinstance(outcomes.pop(3), asyncio.CancelledError)
    assert outcomes == created("id-0", "id-1", "id-2", "id-4")
    assert not redis_client.exists(keyspace.job("id-3"))


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


async def test_each_has_its_own_time(proxy: Proxy, redis_client: Any, keyspace: Keyspace) -> None:
    """The oldest member's time ends first: it is told in time, and the others read on."""
    async with AsyncProducer(proxy.url, key_prefix=keyspace.prefix, timeout_seconds=0.6) as producer:
        await warm(producer)
        with proxy.black_hole():
            calls = [begin(producer, "first")]
            await until(lambda: redis_client.exists(keyspace.job("first")))
            calls.append(begin(producer, "old"))
            await asyncio.sleep(0.05)
            calls.append(begin(producer, "young"))
            await until(lambda: redis_client.exists(keyspace.job("young")))
            assert not calls[1].done()
            await asyncio.wait([calls[1]])
            assert not calls[2].done()
        outcomes = await settled(*calls)
    assert [type(outcome) for outcome in outcomes] == [RedisUnavailable, RedisUnavailable, EnqueuedJob]
    assert "in 0.6 s" in str(outcomes[1])
    assert proxy.connections == 2


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


async def test_calls_begun_before_closing_end(
    aio: AsyncProducer, proxy: Proxy, redis_client: Any, keyspace: Keyspace
) -> None:
    """Closing refuses further calls; those that had begun get their answers, and leave no connection
    behind."""
    async with held(aio, proxy, redis_client):
        calls = [begin(aio, f"id-{n}") for n in range(5)]
        await asyncio.sleep(0)
        await aio.aclose()
        with pytest.raises(ProducerClosed):
            await aio.enqueue("f")
    assert await settled(*calls) == created(*(f"id-{n}" for n in range(5)))


def test_a_loop_that_stands_still_holds_up_no_other(
    redis_url: str, redis_client: Any, keyspace: Keyspace
) -> None:
    """Calls that are under way or wait in one event loop mean nothing to another one."""
    with Proxy(redis_url) as proxy, asyncio.Runner() as runner:
        producer = AsyncProducer(proxy.url, key_prefix=keyspace.prefix)

        async def leave() -> list[Call]:
            calls = [begin(producer, f"id-{n}") for n in range(3)]
            await until(lambda: redis_client.exists(keyspace.job("id-0")))
            return calls

        async def use() -> None:
            assert (await producer.enqueue("f", job_id="next")).created
            await producer.aclose()

        runner.run(warm(producer))
        first_home = producer._pool._home
        assert first_home is not None
        with proxy.black_hole():
            calls = runner.run(leave())
        asyncio.run(use())
        runner.run(settled(*calls))
        runner.run(producer._pool._close_idle(first_home))


async def test_one_call_at_a_time_is_one_command_each(
    aio: AsyncProducer, keyspace: Keyspace, commands: Callable[[], int]
) -> None:
    """Calls awaited one after the other, and the calls of ``enqueue_many``, are as they were."""
    before = commands()
    for _ in range(5):
        await aio.enqueue("f")
    await aio.enqueue_many([Job("f") for _ in range(600)])
    assert commands() - before == 7
