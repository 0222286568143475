"""Full memory, a read-only server, missing rights: what is refused leaves no trace."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from rrq_protocol import Job, Keyspace, RedisFault, classify_reply, transitions
from rrq_protocol.transitions import EnqueueKind, Guard, Lease, Recovered, RequeueReply, SettleKind
from support.audit import read_keys
from support.redis_servers import RedisServer
from support.transitions import Transitions


@pytest.fixture
def full(own_redis: RedisServer, keyspace: Keyspace) -> Iterator[tuple[Transitions, Callable[[bool], Any]]]:
    """Serve a Redis of our own, and a switch that fills its memory up."""
    with redis.Redis.from_url(own_redis.url) as client:
        yield (
            Transitions(client, keyspace),
            lambda on: client.config_set("maxmemory", 1 if on else 0),
        )


def test_a_full_memory_loses_no_attempt(full: tuple[Transitions, Callable[[bool], Any]]) -> None:
    """At maxmemory attempts end, leases beat, and recovery, claims and cancels work (F33, U2, U3)."""
    t, fill = full
    lease = Lease("a", 10_000, b"{}", 20_000)
    t.register("a", "b")
    t.enqueue(*(Job("f", job_id=f"j{n}") for n in range(10)))
    jobs = t.claim(wanted=9).jobs
    fill(True)
    for job, kind in zip(jobs, SettleKind, strict=False):
        assert t.end(job, kind, "null", attempts_log=b"[]", run_ms=5).value == "ok", kind
    assert not t.run(transitions.heartbeat(t.keyspace, lease, now_ms=t.now_ms)).fenced
    t.register("c")
    assert t.cancel(jobs[7].id) == "requested"
    assert len(t.claim("b", wanted=1).jobs) == 1
    assert t.fence("a")
    assert t.recover("a", job_events=True) == Recovered(1, 0, 1, 0, 0)
    assert t.run(transitions.deregister(t.keyspace, "b", now_ms=t.now_ms)) == 1
    assert t.recover("b").left == 0
    assert t.cancel("j9") == "cancelled"
    assert t.requeue(*t.dead()) == (RequeueReply.OK,)
    assert t.purge("j9") == (RequeueReply.OK,)
    fill(False)
    assert t.audit() == ()


@pytest.mark.parametrize(
    "guard", [None, Guard("rate_limit", "k", 60), Guard("debounce", "k", 60), Guard("reschedule")]
)
def test_a_full_memory_refuses_new_jobs_whole(
    full: tuple[Transitions, Callable[[bool], Any]], guard: Guard | None
) -> None:
    """An enqueue at maxmemory is an error of its own kind and leaves no trace (F32)."""
    t, fill = full
    fill(True)
    jobs = [Job("f", job_id=f"j{n}", unique_key=f"u{n}") for n in range(3)]
    with pytest.raises(redis.ResponseError) as caught:
        t.enqueue(*jobs, guard=guard)
    assert classify_reply(str(caught.value)) is RedisFault.FULL
    fill(False)
    assert t.client.keys("*") == []
    assert t.enqueue(*jobs[:1], guard=guard)[0].kind is EnqueueKind.CREATED


def test_a_full_memory_leaves_a_moved_job_as_it_was(full: tuple[Transitions, Callable[[bool], Any]]) -> None:
    """Rescheduling into another queue is refused before the first queue is touched."""
    t, fill = full
    t.add("j", defer_by=60)
    fill(True)
    with pytest.raises(redis.ResponseError):
        t.enqueue(Job("f", {"n": 2}, job_id="j", queue_name="other"), guard=Guard("reschedule"))
    fill(False)
    assert (t.queued(), t.record("j")["job_params"]) == (["j"], "{}")
    assert t.audit() == ()


def test_a_full_memory_revives_dead_letters_anywhere_in_the_list(
    full: tuple[Transitions, Callable[[bool], Any]],
) -> None:
    """At maxmemory dead letters that are told by their places are taken out as else."""
    t, fill = full
    names = [f"j{n:02}" for n in range(60)]
    for name in names:
        t.end(t.start(name), SettleKind.FAIL)
    fill(True)
    some = range(20, 60, 2)
    assert t.requeue(*(names[at] for at in some), places=some) == (RequeueReply.OK,) * 20
    fill(False)
    assert len(t.dead()) == 40
    assert t.audit() == ()


def every_call(t: Transitions) -> list[Callable[[], Any]]:
    """Return each transition as a call that would change something in the keyspace of :func:`busy`."""
    lease = Lease("a", 10_000, b"{}", 20_000)
    attempt = transitions.ClaimedJob("active", "default", 0, 1, "f", None, "")  # type: ignore[arg-type]
    calls: list[Callable[[], Any]] = [
        lambda: t.enqueue(Job("f", job_id="new")),
        lambda: t.enqueue(Job("f", job_id="new"), guard=Guard("rate_limit", "k", 5)),
        lambda: t.enqueue(Job("f", job_id="new"), guard=Guard("debounce", "k", 5)),
        lambda: t.claim("a"),
        lambda: t.register("new"),
        lambda: t.run(transitions.heartbeat(t.keyspace, lease, now_ms=t.now_ms)),
        lambda: t.fence("a"),
        lambda: t.recover("b"),
        lambda: t.run(transitions.deregister(t.keyspace, "a", now_ms=t.now_ms)),
        lambda: t.cancel("waiting"),
        lambda: t.cancel("active"),
        lambda: t.requeue("dead"),
        lambda: t.purge("dead"),
    ]
    return calls + [lambda kind=kind: t.end(attempt, kind) for kind in SettleKind]


def busy(t: Transitions) -> Transitions:
    """Bring jobs into all states that transitions start from; ``b`` is dead and held one."""
    t.start("orphan", orchestrator="b")
    t.fence("b")
    t.end(t.start("dead"), SettleKind.FAIL)
    t.start("active")
    t.add("waiting")
    return t


def test_a_read_only_server_is_told_from_everything_else(own_redis: RedisServer, keyspace: Keyspace) -> None:
    """After a failover every call fails as such: nothing is taken for lost, spoilt or fenced (F30)."""
    with redis.Redis.from_url(own_redis.url) as client:
        t = busy(Transitions(client, keyspace))
        before = read_keys(client, keyspace)
        client.replicaof("127.0.0.1", 1)
        for call in every_call(t):
            with pytest.raises(redis.RedisError) as caught:
                call()
            assert classify_reply(str(caught.value)) is RedisFault.RECONNECT
        client.replicaof("NO", "ONE")
        assert read_keys(client, keyspace) == before
        assert t.audit() == ()


READABLE = ("queue", "active", "workers", "reaping", "dlq", "paused")


def test_missing_rights_are_told_from_damage(own_redis: RedisServer, keyspace: Keyspace) -> None:
    """A user who may not read job keys is told so; no job is set aside, dropped or failed for it (F37)."""
    with redis.Redis.from_url(own_redis.url) as admin:
        busy(Transitions(admin, keyspace))
        before = read_keys(admin, keyspace)
        admin.acl_setuser(
            "limited", enabled=True, nopass=True, categories=["+@all"], channels=["*"],
            keys=[f"{keyspace.prefix}:{family}*" for family in READABLE],
        )  # fmt: skip
        with redis.Redis.from_url(own_redis.url, username="limited", password="any") as client:
            limited = Transitions(client, keyspace)
            attempt = transitions.ClaimedJob("active", "default", 0, 1, "f", None, "")  # type: ignore[arg-type]
            calls: list[Callable[[], Any]] = [
                limited.claim,
                lambda: limited.recover("b"),
                lambda: limited.end(attempt, SettleKind.COMPLETE),
                lambda: limited.cancel("waiting"),
                lambda: limited.requeue("dead"),
                lambda: limited.purge("dead"),
                lambda: limited.enqueue(Job("f")),
            ]
            for call in calls:
                with pytest.raises(redis.RedisError) as caught:
                    call()
                assert classify_reply(str(caught.value)) is RedisFault.CONFIGURATION, str(caught.value)
        assert read_keys(admin, keyspace) == before


def test_who_may_not_announce_an_end_makes_it_all_the_same(
    own_redis: RedisServer, keyspace: Keyspace
) -> None:
    """A user of Redis 7 has no channels unless they are given: jobs end, whole, and are counted (F37)."""
    with redis.Redis.from_url(own_redis.url) as admin:
        admin.acl_setuser(
            "mute", enabled=True, nopass=True, reset_channels=True, commands=["+@all"], keys=["*"]
        )
        with redis.Redis.from_url(own_redis.url, username="mute", password="any") as client:
            t = Transitions(client, keyspace)
            done = t.start("done", unique_key="u")
            assert t.end(done, SettleKind.COMPLETE).value == "ok"
            t.add("waiting")
            assert t.cancel("waiting") == "cancelled"
            assert (t.counts()["completed"], t.counts()["cancelled"]) == (1, 1)
            assert t.audit() == ()


def test_a_full_memory_holds_up_no_pause(full: tuple[Transitions, Callable[[bool], Any]]) -> None:
    """Nor a resume: it is when memory is full that somebody wants to stop a queue."""
    t, fill = full
    fill(True)
    assert t.run(transitions.pause(t.keyspace, "default")).reply.value == "paused"
    assert t.run(transitions.resume(t.keyspace, "default")).reply.value == "resumed"
    fill(False)


@pytest.mark.parametrize("denied", ["zadd", "hset"])
def test_an_enqueue_that_lacks_a_right_halfway_is_no_accepted_job(
    own_redis: RedisServer, keyspace: Keyspace, denied: str
) -> None:
    """Redis does not take back what a script wrote before the refusal. It may be an entry without a record,
    which a claim prunes, never a record that a repeated enqueue would take for accepted."""
    with redis.Redis.from_url(own_redis.url) as admin:
        commands = ["+@all", f"-{denied}"]
        admin.acl_setuser("narrow", enabled=True, nopass=True, commands=commands, keys=["*"], channels=["*"])
        with redis.Redis.from_url(own_redis.url, username="narrow", password="any") as client:
            with pytest.raises(redis.RedisError) as caught:
                Transitions(client, keyspace).add("j")
            assert classify_reply(str(caught.value)) is RedisFault.CONFIGURATION, str(caught.value)
        t = Transitions(admin, keyspace)
        assert not admin.exists(keyspace.job("j"))
        t.register("a")
        assert t.claim().jobs == ()
        assert t.queued() == []
        (reply,) = t.enqueue(Job("f", job_id="j"))
        assert reply.kind is EnqueueKind.CREATED
