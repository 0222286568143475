"""What both producers say when Redis refuses: who one is, what one may do, how one speaks to it."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import redis

from rrq_producer import Job, QueueFull, RedisError, RedisRefused, RedisUnavailable
from rrq_protocol import Keyspace
from support.proxy import Proxy
from support.redis_servers import RedisServer

Make = Callable[..., Any]

LARGE = {"x": "y" * 500_000}
ENQUEUES: dict[str, Callable[[Any], Any]] = {
    "one": lambda producer: producer.enqueue("f"),
    "large": lambda producer: producer.enqueue("f", LARGE),
    "many": lambda producer: producer.enqueue_many([Job("f", {"n": n}) for n in range(1200)]),
}
CALLS: dict[str, Callable[[Any], Any]] = {
    **ENQUEUES,
    "status": lambda producer: producer.get_job_status("x"),
    "wait": lambda producer: producer.wait("x", 5),
    "cancel": lambda producer: producer.cancel("x"),
}
UNKNOWN_SETINFO = b"-ERR Unknown subcommand or wrong number of arguments for 'setinfo'. Try CLIENT HELP.\r\n"


def _as(url: str, user: str) -> str:
    return url.replace("//", f"//{user}:canary@")


@pytest.fixture
def locked(own_redis: RedisServer) -> Iterator["redis.Redis"]:
    """Serve a client of a server that wants a password; it may do everything."""
    with redis.Redis.from_url(own_redis.url) as client:
        client.acl_setuser("admin", enabled=True, passwords=["+canary"], commands=["+@all"], keys=["*"])
        client.config_set("requirepass", "canary")
    with redis.Redis.from_url(_as(own_redis.url, "admin")) as client:
        yield client


@pytest.mark.usefixtures("locked")
@pytest.mark.parametrize("name", CALLS)
def test_a_missing_password_is_asked_for(make: Make, own_redis: RedisServer, name: str) -> None:
    """Whatever is sent first, and however old the server is: the error says what was expected. A server that
    does not know CLIENT SETINFO says nothing of a password to a large command."""
    with Proxy(own_redis.url) as proxy:
        for url in (own_redis.url, proxy.url):
            proxy.answer(UNKNOWN_SETINFO, 1000, marker=b"SETINFO")
            producer = make(url)
            for _ in range(2):
                with pytest.raises(RedisRefused, match="expected an address with a password") as refused:
                    CALLS[name](producer)
                assert "redis_dsn_file or RRQ_REDIS_DSN" in str(refused.value)
                assert (refused.value.attempts, refused.value.accepted, refused.value.unknown) == (1, (), {})


@pytest.mark.usefixtures("locked")
@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_password_is_told_and_not_shown(make: Make, own_redis: RedisServer, name: str) -> None:
    """The error says what to check; neither its text nor its facts hold the password."""
    for credentials in (":guess", "admin:guess", "nobody:guess"):
        with pytest.raises(RedisRefused, match="check the user name and the password") as refused:
            CALLS[name](make(own_redis.url.replace("//", f"//{credentials}@")))
        assert "guess" not in f"{refused.value} {vars(refused.value)}"


def test_a_password_nobody_asked_for_is_told(make: Make, redis_url: str) -> None:
    """A server without passwords does not want one."""
    with pytest.raises(RedisRefused, match="take it out of the address") as refused:
        make(redis_url.replace("//", "//:guess@")).enqueue("f")
    assert "guess" not in f"{refused.value} {vars(refused.value)}"


RIGHTS = ["+@all", "~*", "&*"]


@pytest.mark.parametrize(
    ("name", "rights", "text"),
    [
        ("one", [*RIGHTS, "-evalsha"], r"the right to run EVALSHA: ACL SETUSER … \+evalsha"),
        ("many", [*RIGHTS, "-evalsha"], r"the right to run EVALSHA: ACL SETUSER … \+evalsha"),
        ("one", [*RIGHTS, "-eval"], r"the right to run EVAL: ACL SETUSER … \+eval "),
        ("one", [*RIGHTS, "-hset"], r"the right to run"),
        ("cancel", [*RIGHTS, "-evalsha"], r"EVALSHA"),
        ("status", [*RIGHTS, "-hmget"], r"the right to run HMGET: ACL SETUSER … \+hmget"),
        ("wait", [*RIGHTS, "-subscribe"], r"the right to run SUBSCRIBE: ACL SETUSER … \+subscribe"),
        ("one", ["+@all", "~other:*", "&*"], r"the keys of the prefix: ACL SETUSER … ~PREFIX:\*"),
        ("many", ["+@all", "~other:*", "&*"], r"the keys of the prefix"),
        ("status", ["+@all", "~other:*", "&*"], r"the keys of the prefix"),
        ("wait", ["+@all", "~*", "resetchannels"], r"the channels of the prefix: ACL SETUSER … &PREFIX:\*"),
    ],
)
def test_a_missing_right_is_named(
    make: Make, own_redis: RedisServer, locked: Any, name: str, rights: list[str], text: str,
    keyspace: Keyspace,
) -> None:  # fmt: skip
    """The command, the keys or the channels that a user may not use are named, at the first attempt, and
    nothing was accepted."""
    locked.execute_command("ACL", "SETUSER", "some", "reset", "on", ">canary", *rights)
    locked.script_flush()
    with pytest.raises(RedisRefused, match=text) as refused:
        CALLS[name](make(_as(own_redis.url, "some")))
    assert refused.value.attempts == 1
    assert "canary" not in str(refused.value)
    assert "@user_script" not in str(refused.value)
    assert (refused.value.accepted, refused.value.unknown) == ((), {})
    assert list(locked.scan_iter(f"{keyspace.prefix}:job:*")) == []


def test_the_rights_that_are_named_are_enough(
    make: Make, own_redis: RedisServer, locked: Any, keyspace: Keyspace
) -> None:
    """A user with the rights that the errors name, and no others, can do all that a producer does."""
    locked.execute_command("ACL", "SETUSER", "some", "reset", "on", ">canary", "-@all")
    rights = ["+@scripting", "+@read", "+@write", "+@pubsub", "+@connection", "+time"]
    prefix = keyspace.prefix
    locked.execute_command("ACL", "SETUSER", "some", *rights, f"~{prefix}:*", f"&{prefix}:*")
    producer = make(_as(own_redis.url, "some"))
    job = producer.enqueue("f", unique_key="k", trace_context={"a": "b"}, correlation_context={"c": "d"})
    assert len(producer.enqueue_many([Job("f") for _ in range(1200)])) == 1200
    assert producer.enqueue_with_rate_limit("f", rate_limit_key="k", rate_limit_seconds=5).created
    for _ in range(2):
        producer.enqueue_with_debounce("f", debounce_key="k", debounce_seconds=5)
    assert producer.cancel(job.id) == "cancelled"
    assert producer.wait(job.id, 5).status == "CANCELLED"


class TlsOnly:
    """A listener that expects TLS and hangs up on everybody else, as a server does."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError), context.wrap_socket(connection, server_side=True):
                pass


@pytest.mark.parametrize("name", ["one", "large", "status"])
def test_plain_words_to_a_tls_port(make: Make, name: str) -> None:
    """Somebody is there and hangs up: the error says what that may mean."""
    server = TlsOnly()
    try:
        with pytest.raises(RedisUnavailable, match="write rediss:// in the address"):
            CALLS[name](make(server.url, timeout_seconds=0.3))
    finally:
        server.close()


@pytest.mark.parametrize("name", ["one", "status"])
def test_tls_to_a_plain_port(make: Make, redis_url: str, name: str) -> None:
    """Nobody answers the greeting: the error says what that may mean."""
    with pytest.raises(RedisUnavailable, match="write redis:// in the address"):
        CALLS[name](make(redis_url.replace("redis://", "rediss://"), timeout_seconds=0.5))


def test_a_server_that_was_there_is_not_taken_for_another(make: Make, redis_url: str) -> None:
    """An outage, and a port where nobody listens, are no reason to think of TLS."""
    with Proxy(redis_url) as proxy:
        producer = make(proxy.url, timeout_seconds=0.5)
        with proxy.black_hole(), pytest.raises(RedisUnavailable) as raised:
            producer.enqueue("f")
        assert "TLS" not in str(raised.value)
        producer.enqueue("f")
        with proxy.black_hole(), pytest.raises(RedisUnavailable) as raised:
            producer.enqueue("f")
        assert "TLS" not in str(raised.value)
        assert list(raised.value.unknown) == [0]
        assert producer.get_job_status(raised.value.unknown[0]).id == raised.value.unknown[0]
    with pytest.raises(RedisUnavailable) as raised:
        producer.enqueue("f")
    assert "TLS" not in str(raised.value)


def _check(error: RedisError, jobs: list[Job], stored: set[bytes]) -> None:
    """Check that an error tells exactly which of the jobs are stored."""
    assert len(error.outcomes) == len(jobs)
    for n, (job, outcome) in enumerate(zip(jobs, error.outcomes, strict=True)):
        assert job.job_id is not None
        there = job.job_id.encode() in stored
        if outcome is not None:
            assert (outcome.id, outcome.created, there) == (job.job_id, True, True)
        elif n in error.unknown:
            assert error.unknown[n] == job.job_id
        else:
            assert not there, n
    count = sum(outcome is not None for outcome in error.outcomes)
    assert f"; {count} of {len(jobs)} jobs were accepted" in str(error)


def _jobs(count: int, queue: str = "good") -> list[Job]:
    return [Job("f", {"n": n}, job_id=f"id-{n}", queue_name=queue, on_conflict="raise") for n in range(count)]


@pytest.mark.parametrize("bad", [0, 3, 499, 500, 730, 1999])
def test_many_refused_halfway_says_exactly_what_was_accepted(
    make: Make, own_redis: RedisServer, locked: Any, keyspace: Keyspace, bad: int
) -> None:
    """A job in the middle may not be written. The script has accepted those before it and told nobody; the
    error tells of each, with the second attempt of the producer, whose chunks overlap, as with the first."""
    parts = ("job:*", "queue:good", "queues", "wake:*", "stats:*")
    keys = [f"~{keyspace.prefix}:{part}" for part in parts]
    locked.execute_command("ACL", "SETUSER", "some", "reset", "on", ">canary", "+@all", *keys)
    producer = make(_as(own_redis.url, "some"))
    for _ in range(2):
        jobs = _jobs(2000)
        jobs[bad] = Job("f", job_id=f"id-{bad}", queue_name="bad")
        with pytest.raises(RedisRefused, match="keys of the prefix") as refused:
            producer.enqueue_many(jobs)
        _check(refused.value, jobs, set(locked.zrange(keyspace.queue("good"), 0, -1)))
        assert refused.value.unknown == {}
        assert refused.value.outcomes[bad] is None
        assert all(refused.value.outcomes[: bad - bad % 500])
        locked.delete(*locked.keys(f"{keyspace.prefix}:job:*"), keyspace.queue("good"))


def test_rights_taken_away_in_the_middle(
    make: Make, own_redis: RedisServer, locked: Any, keyspace: Keyspace
) -> None:
    """Chunks under way are accepted, the next one is refused as a whole: the error tells them apart."""
    locked.execute_command("ACL", "SETUSER", "some", "reset", "on", ">canary", *RIGHTS)
    with Proxy(own_redis.url) as proxy, ExitStack() as held:
        producer = make(_as(proxy.url, "some"))
        producer.enqueue_many(_jobs(2, "warm"))
        held.enter_context(proxy.black_hole())

        def revoke() -> None:
            with held.pop_all():
                while locked.zcard(keyspace.queue("good")) < 1000:
                    pass
                locked.execute_command("ACL", "SETUSER", "some", "-evalsha")

        revoking = threading.Thread(target=revoke)
        revoking.start()
        jobs = [Job("f", job_id=f"x-{n}", queue_name="good") for n in range(3000)]
        with pytest.raises(RedisRefused, match="EVALSHA") as refused:
            producer.enqueue_many(jobs)
        revoking.join()
    _check(refused.value, jobs, set(locked.zrange(keyspace.queue("good"), 0, -1)))
    assert (len(refused.value.accepted), refused.value.unknown) == (1000, {})


def test_no_memory_in_the_middle(make: Make, own_redis: RedisServer, keyspace: Keyspace) -> None:
    """Memory runs out in the middle: a chunk is accepted as a whole or not at all, and the error tells which
    were."""
    with redis.Redis.from_url(own_redis.url) as client:
        producer = make(own_redis.url)
        producer.enqueue("f", queue_name="warm")
        for _ in range(2):
            jobs = [Job("f", {"x": "y" * 1000}, job_id=f"id-{n}", queue_name="good") for n in range(6000)]
            client.config_set("maxmemory", client.info("memory")["used_memory"] + 4_000_000)
            with pytest.raises(QueueFull) as raised:
                producer.enqueue_many(jobs)
            client.config_set("maxmemory", "0")
            stored = set(client.zrange(keyspace.queue("good"), 0, -1))
            _check(raised.value, jobs, stored)
            assert raised.value.unknown == {}
            assert 0 < len(stored) < 6000
            client.delete(*client.keys(f"{keyspace.prefix}:job:*"), keyspace.queue("good"))


def test_answers_that_never_come_are_told(
    make: Make, redis_url: str, redis_client: Any, keyspace: Keyspace
) -> None:
    """The server is lost in the middle and does not come back: what is known, what is not, and nothing
    else."""
    with Proxy(redis_url) as proxy:
        producer = make(proxy.url, timeout_seconds=0.5)
        producer.enqueue("f", queue_name="warm")
        proxy.cut_replies(1000, marker=b'{"n":1700}')
        jobs = _jobs(3000)
        with pytest.raises(RedisUnavailable, match="is not known") as raised:
            producer.enqueue_many(jobs)
    _check(raised.value, jobs, set(redis_client.zrange(keyspace.queue("good"), 0, -1)))
    assert len(raised.value.accepted) == 1500
    assert 500 <= len(raised.value.unknown) <= 1000
    assert min(raised.value.unknown) == 1500
