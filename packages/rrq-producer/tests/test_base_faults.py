"""What both producers do when Redis, or the way to it, fails (RELIABILITY.md 3.3)."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from rrq_producer import (
    DuplicateJob,
    Job,
    JobStatus,
    Producer,
    QueueFull,
    RedisRefused,
    RedisUnavailable,
    ResultExpired,
    WaitTimeout,
)
from rrq_protocol import Keyspace
from support.audit import audit
from support.proxy import Proxy
from support.redis_servers import RedisServer, free_port
from support.waiting import eventually

Make = Callable[..., Any]


@pytest.mark.usefixtures("whole")
def test_a_reply_cut_off_makes_one_job(
    make: Make, redis_url: str, redis_client: Any, keyspace: Keyspace
) -> None:
    """A connection cut between command and reply is repeated with the same id: one job, created by this call
    (F2, F46)."""
    with Proxy(redis_url) as proxy:
        producer = make(proxy.url)
        producer.enqueue("f")
        proxy.cut_replies(2)
        job = producer.enqueue("f", {"n": 1}, unique_key="k", on_conflict="raise")
        assert job.created
        proxy.cut_replies(1)
        assert producer.enqueue("f", {"n": 2}, job_id="mine", on_conflict="raise").created
    assert redis_client.zcard(keyspace.queue("default")) == 3
    assert redis_client.hget(keyspace.stats("default"), "enqueued") == b"3"


def test_a_guarded_enqueue_is_repeated_too(make: Make, redis_url: str) -> None:
    """The repeat of a rate-limited enqueue finds its own job, not its own limit."""
    with Proxy(redis_url) as proxy:
        producer = make(proxy.url)
        proxy.cut_replies(1)
        job = producer.enqueue_with_rate_limit("f", rate_limit_key="k", rate_limit_seconds=60)
        assert job is not None
        assert job.created


def test_a_debounced_enqueue_is_repeated_as_the_same_call(
    make: Make, redis_url: str, redis_client: Any, keyspace: Keyspace
) -> None:
    """The repeat of a call that moved the pending job goes under the name of the first attempt (F2)."""
    with Proxy(redis_url) as proxy:
        producer = make(proxy.url)
        quiet = {"debounce_key": "k", "debounce_seconds": 60}
        first = producer.enqueue_with_debounce("f", {"n": 1}, **quiet)
        proxy.cut_replies(2)
        assert producer.enqueue_with_debounce("f", {"n": 2}, **quiet).id == first.id
    assert redis_client.get(keyspace.debounced("k")).count(b" updated ") == 1
    assert redis_client.hget(keyspace.job(first.id), "job_params") == b'{"n":2}'


def test_bulk_replies_cut_off_make_each_job_once(
    make: Make, redis_url: str, redis_client: Any, keyspace: Keyspace, rng: random.Random
) -> None:
    """Connections cut in the middle of many chunks: every job is there once and counts as created."""
    with Proxy(redis_url) as proxy:
        producer = make(proxy.url)
        for _ in range(3):
            proxy.cut_replies(rng.randint(1, 4))
            jobs = [Job("f", {"n": n}, on_conflict="raise") for n in range(2600)]
            outcomes = producer.enqueue_many(jobs)
            assert all(outcome.created for outcome in outcomes)
            assert redis_client.zcard(keyspace.queue("default")) == len({each.id for each in outcomes})
            redis_client.delete(keyspace.queue("default"))
            producer.enqueue("f", queue_name="other")


def test_chunks_do_not_wait_for_each_other(
    make: Make, redis_url: str, redis_client: Any, keyspace: Keyspace
) -> None:
    """Once the server knows the script, the second chunk is sent before the reply to the first has come."""
    with Proxy(redis_url) as proxy, ThreadPoolExecutor(1) as elsewhere:
        producer = make(proxy.url)
        producer.enqueue_many([Job("f", queue_name="warm")])
        with ExitStack() as held:
            held.enter_context(proxy.black_hole())

            def both_there() -> bool:
                return bool(redis_client.zcard(keyspace.queue("default")) == 1000)

            def let_pass() -> None:
                with held.pop_all():
                    eventually(both_there, "both chunks to be there", within_s=4)

            watched = elsewhere.submit(let_pass)
            assert len(producer.enqueue_many([Job("f") for _ in range(1000)])) == 1000
            watched.result()


def test_what_never_was_sent_is_not_taken_for_ones_own(make: Make, redis_url: str, redis_client: Any) -> None:
    """A job that was there before stays a duplicate, though the server had forgotten the script, or could not
    be reached at first."""
    jobs = [Job("f", job_id="old", on_conflict="raise"), *(Job("f") for _ in range(1000))]
    with Proxy(redis_url) as proxy, ThreadPoolExecutor(1) as elsewhere:
        producer = make(proxy.url, timeout_seconds=1)
        producer.enqueue("f", job_id="old")
        redis_client.script_flush()
        with pytest.raises(DuplicateJob):
            producer.enqueue_many(jobs)
        with ExitStack() as held:
            held.enter_context(proxy.refusing())
            with pytest.raises(RedisUnavailable):
                producer.get_job_status("old")  # no connection is left
            refused = proxy.connections

            def let_pass() -> None:
                with held.pop_all():
                    eventually(lambda: proxy.connections > refused, "an attempt")

            watched = elsewhere.submit(let_pass)
            with pytest.raises(DuplicateJob):
                producer.enqueue_many(jobs)
            watched.result()


def test_a_restart_in_the_middle_loses_nothing(
    make: Make, own_redis: RedisServer, keyspace: Keyspace
) -> None:
    """The server is killed and started anew while jobs are enqueued: each acknowledged job is there, none
    twice (F25)."""
    producer = make(own_redis.url, timeout_seconds=30)
    ids: list[str] = [producer.enqueue("f", {"n": 0}).id]
    killer = threading.Thread(target=lambda: (own_redis.kill(), own_redis.start()))
    killer.start()
    count = 0
    while killer.is_alive() or count < 20:
        count += 1
        ids.append(producer.enqueue("f", {"n": count}).id)
        ids += [job.id for job in producer.enqueue_many([Job("f", {"n": n}) for n in range(3)])]
    killer.join()
    with redis.Redis.from_url(own_redis.url) as client:
        queued = {member.decode() for member in client.zrange(keyspace.queue("default"), 0, -1)}
    assert set(ids) == queued
    assert len(ids) == len(queued)


@pytest.mark.parametrize(
    "reply",
    [
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n",
        b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
        b"-CLUSTERDOWN The cluster is down\r\n",
        b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
        b"-NOREPLICAS Not enough good replicas to write.\r\n",
        b"-MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk.\r\n",
        b"-NOSCRIPT No matching script. Please use EVAL.\r\n",
        b"-ERR max number of clients reached\r\n",
    ],
    ids=lambda reply: reply.split()[0].decode(),
)
def test_what_passes_is_waited_for(
    make: Make, reply: bytes, redis_url: str, redis_client: Any, keyspace: Keyspace
) -> None:
    """What a server says while it cannot work for the moment is retried; each job is there once (F30-F37)."""
    with Proxy(redis_url) as proxy:
        producer = make(proxy.url)
        producer.enqueue("f")
        proxy.answer(reply, 1 if b"NOSCRIPT" in reply else 2)
        assert producer.enqueue("f").created
        assert proxy.answers_left() == 0
        proxy.answer(reply, 1)
        assert len(producer.enqueue_many([Job("f") for _ in range(1001)])) == 1001
    assert redis_client.zcard(keyspace.queue("default")) == 1003


def test_what_does_not_pass_in_time_is_unavailable(make: Make, redis_url: str) -> None:
    """Time used up: the error names what was tried and what the server said, and has the original as its
    cause."""
    with Proxy(redis_url) as proxy:
        producer = make(proxy.url.replace("//", "//default:canary@"), timeout_seconds=0.5)
        producer.enqueue("f")
        proxy.answer(b"-LOADING Redis is loading the dataset in memory\r\n", 1000)
        with pytest.raises(RedisUnavailable, match=r"attempts in 0\.\d s, the last: LOADING") as raised:
            producer.enqueue("f")
    error = raised.value
    assert isinstance(error.__cause__, redis.RedisError)
    assert error.attempts > 1
    assert "canary" not in str(error) + repr(error)
    assert "***" in error.address


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (b"-NOAUTH Authentication required.\r\n", "password"),
        (b"-NOPERM User default has no permissions to run the 'evalsha' command\r\n", "ACL SETUSER"),
        (b"-NOPERM No permissions to access a key\r\n", "ACL SETUSER"),
        (b"-MOVED 3999 127.0.0.1:6381\r\n", "cluster"),
        (b"-CROSSSLOT Keys in request don't hash to the same slot\r\n", "cluster"),
        (b"-ERR unknown command 'EVALSHA'\r\n", "unknown command"),
        (b"-ERR something else\r\n", "something else"),
    ],
    ids=lambda value: value.split()[0].decode() if isinstance(value, bytes) else "",
)
def test_what_does_not_pass_by_itself_is_refused_at_once(
    make: Make, reply: bytes, text: str, redis_url: str
) -> None:
    """What somebody has to change is told at once, with what to do; nothing is retried (F37)."""
    with Proxy(redis_url) as proxy:
        producer = make(proxy.url)
        proxy.answer(reply, 2)
        with pytest.raises(RedisRefused, match=text):
            producer.enqueue("f")
        assert proxy.answers_left() == 1


def test_a_wrong_password_is_refused_at_once(make: Make, own_redis: RedisServer) -> None:
    """No password, a wrong one, a missing right: told at once and never repeated, which could lock the user
    out."""
    with redis.Redis.from_url(own_redis.url) as client:
        client.acl_setuser("reader", enabled=True, passwords=["+secret"], commands=["+get"], keys=["*"])
        client.config_set("requirepass", "secret")
        for user, text in (("", "password"), (":wrong@", "password"), ("reader:secret@", "EVALSHA")):
            producer = make(own_redis.url.replace("//", f"//{user}"))
            with pytest.raises(RedisRefused, match=text) as refused:
                producer.enqueue("f")
            assert refused.value.attempts == 1
            assert "wrong" not in str(refused.value).replace("WRONGPASS", "")
        assert make(own_redis.url.replace("//", "//:secret@")).enqueue("f").created


def test_a_full_server_takes_nothing(make: Make, own_redis: RedisServer, keyspace: Keyspace) -> None:
    """Without memory left, enqueues say so at once and write nothing; afterwards they work again (F32)."""
    with redis.Redis.from_url(own_redis.url) as client:
        producer = make(own_redis.url)
        client.config_set("maxmemory", "1")
        with pytest.raises(QueueFull, match="maxmemory"):
            producer.enqueue("f", unique_key="k")
        with pytest.raises(QueueFull):
            producer.enqueue_with_rate_limit("f", rate_limit_key="k", rate_limit_seconds=60)
        with pytest.raises(QueueFull) as full:
            producer.enqueue_many([Job("f") for _ in range(600)])
        assert full.value.accepted == ()
        assert client.keys("*") == []
        client.config_set("maxmemory", "0")
        assert producer.enqueue("f", unique_key="k").created
        assert client.zcard(keyspace.queue("default")) == 1
        assert audit(client, keyspace, conserved=True) == ()


def test_the_jobs_accepted_before_a_failure_are_told(make: Make, redis_url: str) -> None:
    """When the server fails for good in the middle of many, the error holds the jobs that were accepted
    before."""
    with Proxy(redis_url) as proxy:
        producer = make(proxy.url, timeout_seconds=0.5)
        proxy.cut_replies(1000, marker=b'{"n":1700}')
        with pytest.raises(RedisUnavailable) as raised:
            producer.enqueue_many([Job("f", {"n": n}) for n in range(3000)])
    assert len(raised.value.accepted) == 1500


def test_nobody_there_is_unavailable(make: Make) -> None:
    """A port where nobody listens is tried until the time is used up."""
    producer = make(f"redis://127.0.0.1:{free_port()}/0", timeout_seconds=0.3)
    for call in (producer.enqueue, producer.get_job_status):
        with pytest.raises(RedisUnavailable, match=r"Connection refused|Connect call failed") as raised:
            call("x")
        assert not isinstance(raised.value, RedisRefused)


def test_an_unknown_host_is_refused_at_once(make: Make) -> None:
    """A host name that does not exist is not tried again."""
    with pytest.raises(RedisRefused, match="host name"):
        make("redis://no-such-host.invalid:6379/0").enqueue("f")


@pytest.mark.usefixtures("whole")
def test_a_silent_server_is_given_up(make: Make, redis_url: str) -> None:
    """A connection that stays open and silent does not hold a call for longer than its time (F44)."""
    with Proxy(redis_url) as proxy:
        producer = make(proxy.url, timeout_seconds=0.5)
        job = producer.enqueue("f")
        with proxy.black_hole(), pytest.raises(RedisUnavailable):
            producer.enqueue("f")
        assert producer.get_job_status(job.id).status is JobStatus.PENDING


@pytest.mark.usefixtures("whole")
def test_replies_in_single_bytes_are_read(make: Make, redis_url: str) -> None:
    """Replies may arrive cut at any byte (F43)."""
    with Proxy(redis_url) as proxy:
        proxy.split_replies()
        producer = make(proxy.url)
        assert len(producer.enqueue_many([Job("f") for _ in range(520)])) == 520
        assert producer.cancel(producer.enqueue("f").id) == "cancelled"


def test_scripts_forgotten_at_any_time_are_sent_again(
    make: Make, redis_url: str, redis_client: Any, keyspace: Keyspace
) -> None:
    """SCRIPT FLUSH between calls and in the middle of many chunks: no error surfaces, each job is there once
    (F34)."""
    stop = threading.Event()

    def flush() -> None:
        with redis.Redis.from_url(redis_url) as client:
            while not stop.is_set():
                client.script_flush()

    flusher = threading.Thread(target=flush)
    flusher.start()
    try:
        producer = make(redis_url)
        for _ in range(50):
            assert producer.enqueue("f").created
        assert all(job.created for job in producer.enqueue_many([Job("f") for _ in range(5000)]))
    finally:
        stop.set()
        flusher.join()
    assert redis_client.zcard(keyspace.queue("default")) == 5050


def test_waiting_survives_a_restart(make: Make, own_redis: RedisServer, keyspace: Keyspace) -> None:
    """A waiter goes on after the server was killed and started anew, and learns of an end that came
    meanwhile."""
    producer = make(own_redis.url)
    job = producer.enqueue("f")

    def restart() -> None:
        own_redis.kill()
        own_redis.start()
        with redis.Redis.from_url(own_redis.url) as client:
            # No announcement: what was missed has to be found in the record.
            client.hset(keyspace.job(job.id), mapping={"status": "COMPLETED", "result": "7"})

    restarter = threading.Thread(target=restart)
    restarter.start()
    result = producer.wait(job.id, 30)
    restarter.join()
    assert (result.status, result.result) == (JobStatus.COMPLETED, 7)


def test_waiting_survives_lost_connections(make: Make, redis_url: str, keyspace: Keyspace) -> None:
    """Subscriptions cut off are made anew; with no way to Redis at all, the waiter's own time counts."""
    with Proxy(redis_url) as proxy:
        producer = make(proxy.url)
        job = producer.enqueue("f")
        proxy.cut_replies(2, marker=b"SUBSCRIBE")

        def cancel() -> None:
            proxy.wait_for_cut()
            with Producer(redis_url, key_prefix=keyspace.prefix) as other:
                other.cancel(job.id)

        cancelled = threading.Thread(target=cancel)
        cancelled.start()
        assert producer.wait(job.id, 20).status is JobStatus.CANCELLED
        cancelled.join()
        pending = producer.enqueue("f")
        for fault in (proxy.refusing, proxy.black_hole):
            with fault(), pytest.raises(WaitTimeout):
                producer.wait(pending.id, 0.3)


def test_a_record_that_expires_ends_the_wait(either: Any, redis_url: str, keyspace: Keyspace) -> None:
    """When the record vanishes while it is waited for, the waiter gets an error that says how the job ended
    (F89)."""
    job = either.enqueue("f")
    watching = threading.Event()

    def vanish() -> None:
        with redis.Redis.from_url(redis_url) as client, client.monitor() as monitor:
            watching.set()
            for seen in monitor.listen():
                if seen["command"].startswith("HMGET") and job.id in seen["command"]:
                    break
            client.delete(keyspace.job(job.id))
            client.publish(keyspace.channel(job.id), "COMPLETED")

    vanishing = threading.Thread(target=vanish)
    vanishing.start()
    watching.wait(10)
    with pytest.raises(ResultExpired, match="COMPLETED"):
        either.wait(job.id, 20)
    vanishing.join()
