"""What an enqueue waits for after its job was accepted: the words, the questions, and real replicas that
follow, stand still, are gone or take over.
"""

import asyncio
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from rrq_producer import (
    AsyncProducer,
    DuplicateJob,
    DurabilityNotConfirmed,
    EnqueuedJob,
    InvalidArgument,
    Job,
    Producer,
    RRQError,
)
from rrq_producer.durability import Confirmation, Durability, Witness, durability_of
from rrq_protocol import Keyspace
from support.enqueuing import begin, queued, settled, until
from support.proxy import Proxy
from support.redis_choice import for_most, serving
from support.redis_servers import ProcessServer
from support.waiting import eventually


@pytest.fixture(scope="module")
def replicated() -> Iterator[tuple[ProcessServer, ProcessServer]]:
    """Serve a primary without a file, and a replica that follows it, to tests that leave both as they are."""
    yield from _replicated()


@pytest.fixture
def mortal() -> Iterator[tuple[ProcessServer, ProcessServer]]:
    """Serve the same to one test alone."""
    yield from _replicated()


def _replicated() -> Iterator[tuple[ProcessServer, ProcessServer]]:
    primary, replica = (for_most().own(append_only=False) for _ in range(2))
    assert isinstance(primary, ProcessServer)
    assert isinstance(replica, ProcessServer)
    for _ in serving(primary):
        for _ in serving(replica):
            with redis.Redis.from_url(primary.url) as client:
                client.config_set("repl-diskless-sync-delay", 0)
            with redis.Redis.from_url(replica.url) as client:
                port = primary.url.rpartition(":")[2].removesuffix("/0")
                client.execute_command("REPLICAOF", "127.0.0.1", port)
                eventually(lambda: _is_connected(client), "the replica follows")
            yield primary, replica


@pytest.fixture
def client(replicated: tuple[ProcessServer, ProcessServer]) -> Iterator["redis.Redis"]:
    """Serve a client of the primary."""
    with redis.Redis.from_url(replicated[0].url) as made:
        yield made


@contextmanager
def paused(server: ProcessServer) -> Iterator[None]:
    """Let a server stand still while the block runs."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def _is_connected(client: Any) -> bool:
    return bool(client.info("replication")["master_link_status"] == "up")


def _knows(client: Any, command: str) -> bool:
    try:
        client.execute_command(command)
    except redis.ResponseError as error:
        return "unknown command" not in str(error).lower()
    return True


def _calls(client: Any, name: str) -> int:
    return int(client.info("commandstats").get(f"cmdstat_{name}", {"calls": 0})["calls"])


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("memory", None),
        ("fsync", Durability(0)),
        ("replicas:1", Durability(1)),
        ("replicas:12", Durability(12)),
    ],
)
def test_what_can_be_asked_for(text: str, meant: Durability | None) -> None:
    """There are three forms."""
    assert durability_of(text) == meant


@pytest.mark.parametrize(
    "text", ["", "disk", "replicas", "replicas:0", "replicas:-1", "replicas:1001", "replicas: 1", None, 2]
)
def test_anything_else_is_refused(text: Any, redis_url: str) -> None:
    """A producer made with it, or asked for it, says what was expected; nothing is sent."""
    with pytest.raises(InvalidArgument, match='expected "memory", "fsync" or "replicas:N"'):
        durability_of(text)
    with pytest.raises(InvalidArgument, match="durability"):
        Producer(redis_url, durability=text)


def test_a_call_is_refused_before_anything_is_sent(
    either: Any, redis_client: Any, keyspace: Keyspace
) -> None:
    """Each kind of enqueue checks what it is asked to wait for before it sends the job."""
    ways: tuple[Callable[[], Any], ...] = (
        lambda: either.enqueue("f", durability="disk"),
        lambda: either.enqueue_job(Job("f"), durability="disk"),
        lambda: either.enqueue_many([Job("f")], durability="disk"),
        lambda: either.enqueue_with_rate_limit(
            "f", rate_limit_key="k", rate_limit_seconds=1, durability="disk"
        ),
        lambda: either.enqueue_with_debounce("f", debounce_key="k", debounce_seconds=1, durability="disk"),
    )
    for enqueue in ways:
        with pytest.raises(InvalidArgument, match="'disk'"):
            enqueue()
    assert queued(redis_client, keyspace) == []


def test_a_question_that_is_answered_ends_the_asking() -> None:
    """Once enough have confirmed there is no further question; a miss says how many did."""
    from rrq_producer.address import Address
    from rrq_producer.attempts import Attempts

    attempts = Attempts(Address.of_dsn("redis://localhost"), 10)
    asking = Confirmation(Durability(2), "rrq:stats:default")
    first = asking.next(attempts)
    assert first is not None
    assert b"WAIT" in first
    asking.take(0)
    asking.take(1)
    assert (asking.owed, asking.confirmed, asking.missed) == (0, 1, True)
    assert asking.next(attempts) is not None
    asking.take(2)
    assert not asking.missed
    assert asking.next(attempts) is None


def test_after_a_miss_the_rest_is_sent_without_waiting() -> None:
    """Many jobs wait once in vain, not once a chunk."""
    witness = Witness(Durability(1))
    assert witness.asks()
    assert witness.next("rrq:stats:default") is not None
    assert not witness.asks()
    assert witness.next("rrq:stats:default") is None
    with pytest.raises(DurabilityNotConfirmed) as caught:
        witness.confirmed([EnqueuedJob("a", True)], "redis://localhost")
    assert caught.value.accepted == (EnqueuedJob("a", True),)


def test_a_replica_has_what_was_confirmed(
    make: Callable[..., Any], replicated: tuple[ProcessServer, ProcessServer], keyspace: Keyspace
) -> None:
    """Every way to enqueue returns after the replica has the job, asked for per call or per producer."""
    primary, replica = replicated
    producer = make(primary.url, timeout_seconds=30, durability="replicas:1")
    each = make(primary.url, timeout_seconds=30)
    with redis.Redis.from_url(replica.url) as copy:
        for n in range(20):
            job = each.enqueue("f", {"n": n}, durability="replicas:1")
            assert copy.exists(keyspace.job(job.id))
        done = [
            producer.enqueue("f"),
            producer.enqueue_job(Job("f")),
            *producer.enqueue_many([Job("f") for _ in range(1200)]),
            producer.enqueue_with_rate_limit("f", rate_limit_key="k", rate_limit_seconds=60),
            producer.enqueue_with_debounce("f", debounce_key="k", debounce_seconds=60),
        ]
        assert copy.exists(*(keyspace.job(job.id) for job in done)) == len(done)
    assert producer.enqueue_with_rate_limit("f", rate_limit_key="k", rate_limit_seconds=60) is None


def test_a_replica_that_stands_still(
    make: Callable[..., Any],
    replicated: tuple[ProcessServer, ProcessServer],
    client: Any,
    keyspace: Keyspace,
) -> None:
    """The error says what was expected, what came, and that the job is written. With the same id the enqueue
    waits again, though it writes nothing; when the replica goes on, it succeeds and there is one job."""
    primary, replica = replicated
    with paused(replica):
        for _ in range(2):  # the second one on a connection that has written nothing
            with pytest.raises(DurabilityNotConfirmed) as caught:
                make(primary.url, timeout_seconds=1).enqueue("f", job_id="a", durability="replicas:1")
            error = caught.value
            assert str(pickle.loads(pickle.dumps(error))) == str(error)
            assert (error.needed, error.confirmed, error.problem) == (1, 0, "")
            assert error.job is not None
            assert error.job.id == "a"
            assert "job 'a' is written" in str(error)
            assert "expected it on 1 replica, after" in str(error)
            assert "0 of 1 confirmed" in str(error)
            assert queued(client, keyspace) == ["a"]
        assert make(primary.url).enqueue("f", job_id="b").created
    again = make(primary.url, timeout_seconds=60)
    assert again.enqueue("f", job_id="a", durability="replicas:1") == EnqueuedJob("a", False)


def test_too_few_replicas(
    make: Callable[..., Any], replicated: tuple[ProcessServer, ProcessServer], client: Any, keyspace: Keyspace
) -> None:
    """Two are asked for and one is there: all jobs are written, and told; so is what kept one of many from
    being accepted."""
    producer = make(replicated[0].url, timeout_seconds=0.5, durability="replicas:2")
    before = _calls(client, "wait")
    with pytest.raises(DurabilityNotConfirmed, match=r"the jobs are written.*1 of 2 confirmed") as caught:
        producer.enqueue_many([Job("f") for _ in range(1100)])
    assert caught.value.job is None
    assert [job.id for job in caught.value.accepted] == queued(client, keyspace)
    assert len(caught.value.outcomes) == 1100
    assert _calls(client, "wait") - before < 20
    producer.enqueue("f", job_id="other", durability="memory")
    with pytest.raises(DuplicateJob, match="1 of 2 jobs were accepted"):
        producer.enqueue_many([Job("f"), Job("g", job_id="other")])


def test_a_server_without_a_file_refuses_to_tell(
    make: Callable[..., Any], replicated: tuple[ProcessServer, ProcessServer], client: Any, keyspace: Keyspace
) -> None:
    """Where there is no append-only file, or the server is too old to know, the error names what the server
    said; the connection is of use afterwards, and the job is written."""
    producer = make(replicated[0].url)
    producer.enqueue("f", job_id="a")
    connections = client.info("clients")["connected_clients"]
    with pytest.raises(DurabilityNotConfirmed, match=r"the server refused to tell: .*WAITAOF") as caught:
        producer.enqueue("f", job_id="b", durability="fsync")
    assert caught.value.job == EnqueuedJob("b", True)
    assert "expected it on the disk of the server" in str(caught.value)
    assert producer.enqueue("f", job_id="c").created
    assert queued(client, keyspace) == ["a", "b", "c"]
    assert client.info("clients")["connected_clients"] == connections


def test_the_disk_has_what_was_confirmed(
    make: Callable[..., Any], own_redis: Any, keyspace: Keyspace
) -> None:
    """With an append-only file, an enqueue waits until it is synced; a server too old to know says so."""
    producer = make(own_redis.url)
    with redis.Redis.from_url(own_redis.url) as client:
        knows = _knows(client, "WAITAOF")
    if knows:
        assert producer.enqueue("f", job_id="a", durability="fsync").created
    else:
        with pytest.raises(DurabilityNotConfirmed, match="WAITAOF"):
            producer.enqueue("f", job_id="a", durability="fsync")


def test_a_connection_lost_while_it_waits(
    make: Callable[..., Any], replicated: tuple[ProcessServer, ProcessServer], client: Any, keyspace: Keyspace
) -> None:
    """The enqueue is repeated as a whole: when the replica goes on, the call returns, with its one job."""
    primary, replica = replicated
    producer = make(primary.url, timeout_seconds=60, durability="replicas:1")
    outcome: list[Any] = []
    before = _calls(client, "wait")
    caller = threading.Thread(
        target=lambda: outcome.append(producer.enqueue("f", job_id="a", on_conflict="raise"))
    )
    with paused(replica):
        caller.start()
        eventually(lambda: client.info("clients")["blocked_clients"] == 1, "the producer waits")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        eventually(lambda: _calls(client, "wait") >= before + 2, "the producer asks again")
        assert outcome == []
    caller.join(60)
    assert outcome == [EnqueuedJob("a", True)]
    assert queued(client, keyspace) == ["a"]


@pytest.mark.parametrize("durable", [True, False], ids=["replicas", "memory"])
def test_what_was_confirmed_survives_a_failover(
    durable: bool, mortal: tuple[ProcessServer, ProcessServer], keyspace: Keyspace
) -> None:
    """The primary is cut off and killed while a producer enqueues, and the replica takes over: what was
    confirmed is there. What Redis had only acknowledged need not be (F29, G9)."""
    primary, replica = mortal
    acknowledged: list[str] = []
    with Proxy(primary.url) as link, redis.Redis.from_url(replica.url) as copy:
        host, port = link.url.removeprefix("redis://").removesuffix("/0").split(":")
        copy.execute_command("REPLICAOF", host, port)
        eventually(lambda: _is_connected(copy), "the replica follows over the proxy")
        wanted = "replicas:1" if durable else "memory"
        with Producer(
            primary.url, key_prefix=keyspace.prefix, timeout_seconds=1, durability=wanted
        ) as producer:

            def write() -> None:
                for n in range(100_000):
                    try:
                        acknowledged.append(producer.enqueue("f", job_id=f"j{n}").id)
                    except RRQError:
                        return

            writer = threading.Thread(target=write)
            writer.start()
            eventually(lambda: len(acknowledged) > 100, "a hundred jobs")
            with link.black_hole():
                before = len(acknowledged)
                if not durable:
                    eventually(lambda: len(acknowledged) > before + 10, "jobs that are not copied")
                primary.kill()
                writer.join(60)
                copy.execute_command("REPLICAOF", "NO", "ONE")
        kept = copy.exists(*(keyspace.job(each) for each in acknowledged))
    assert kept == len(acknowledged) if durable else kept < len(acknowledged)


@pytest.mark.anyio
async def test_calls_at_the_same_time_wait_together(
    replicated: tuple[ProcessServer, ProcessServer], client: Any, keyspace: Keyspace
) -> None:
    """While the replica stands still, calls that ask for it gather and wait for it together; those that do
    not ask return meanwhile. When it goes on, all return."""
    primary, replica = replicated
    async with AsyncProducer(primary.url, key_prefix=keyspace.prefix, timeout_seconds=60) as producer:
        with paused(replica):
            first = [begin(producer, durability="replicas:1") for _ in range(50)]
            await until(lambda: len(queued(client, keyspace)) == 50)
            then = [begin(producer, durability="replicas:1") for _ in range(50)]
            await until(lambda: len(queued(client, keyspace)) == 100)
            assert all(
                isinstance(each, EnqueuedJob) for each in await settled(*map(_plain(producer), range(50)))
            )
            assert not any(call.done() for call in [*first, *then])
            assert client.info("clients")["blocked_clients"] <= 4
        assert all(isinstance(each, EnqueuedJob) for each in await settled(*first, *then))


@pytest.mark.anyio
async def test_who_leaves_while_a_group_waits_disturbs_nobody(
    replicated: tuple[ProcessServer, ProcessServer], client: Any, keyspace: Keyspace
) -> None:
    """Whoever asks for a group may be cancelled: the next one reads on, on the same connection."""
    primary, replica = replicated
    async with AsyncProducer(primary.url, key_prefix=keyspace.prefix, timeout_seconds=60) as producer:
        await producer.enqueue("f", durability="replicas:1")
        with paused(replica):
            calls = [begin(producer, durability="replicas:1") for _ in range(40)]
            await until(lambda: len(queued(client, keyspace)) == 41)
            await until(lambda: client.info("clients")["blocked_clients"] >= 1)
            scripts = _calls(client, "evalsha") + _calls(client, "eval")
            for call in calls[:20]:
                call.cancel()
                await asyncio.sleep(0)
        outcomes = await settled(*calls)
        assert all(isinstance(each, asyncio.CancelledError) for each in outcomes[:20])
        assert all(isinstance(each, EnqueuedJob) and each.created for each in outcomes[20:])
        assert _calls(client, "evalsha") + _calls(client, "eval") == scripts


@pytest.mark.anyio
async def test_a_group_that_is_not_confirmed(
    replicated: tuple[ProcessServer, ProcessServer], client: Any, keyspace: Keyspace
) -> None:
    """Each call gets an error with its own job; a call that has no job of its own gets its own answer."""
    primary, replica = replicated
    async with AsyncProducer(
        primary.url, key_prefix=keyspace.prefix, timeout_seconds=1, durability="replicas:1"
    ) as producer:
        with paused(replica):
            calls = [begin(producer, f"j{n}") for n in range(30)]
            outcomes = await settled(*calls, begin(producer, "j0"))
    assert isinstance(outcomes.pop(), DuplicateJob)
    assert [outcome.job for outcome in outcomes if isinstance(outcome, DurabilityNotConfirmed)] == [
        EnqueuedJob(f"j{n}", True) for n in range(30)
    ]
    assert sorted(queued(client, keyspace)) == sorted(f"j{n}" for n in range(30))


def _plain(producer: AsyncProducer) -> Callable[[int], Any]:
    return lambda _: begin(producer)
