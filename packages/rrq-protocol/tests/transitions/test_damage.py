"""One bad key stops nobody (F40), and full memory loses nothing (F32, F33)."""

from collections.abc import Callable

import pytest
import redis

from rrq_protocol import Job, Keyspace, RedisFault, classify_reply, transitions
from rrq_protocol.transitions import (
    EnqueueKind,
    Guard,
    Lease,
    Recovered,
    RequeueReply,
    SettleKind,
    Settlement,
)
from support.transitions import Transitions, ids

WRONG = b"wrong"


def spoil(t: Transitions, key: str, *, as_list: bool = False) -> None:
    """Put a value of a wrong type under a key."""
    t.client.delete(key)
    if as_list:
        t.client.rpush(key, WRONG)
    else:
        t.client.set(key, WRONG)


def quarantined(t: Transitions) -> list[str]:
    """Return the ids set aside."""
    return [each.decode() for each in t.client.lrange(t.keyspace.quarantine, 0, -1)]


def test_a_job_key_of_another_type_is_set_aside(damaged: Transitions) -> None:
    """Whatever meets it first sets the id aside and goes on with its neighbours (U8)."""
    t = damaged
    t.register("a")
    t.enqueue(*(Job("f", job_id=name) for name in ("bad1", "good1", "bad2", "good2", "bad3", "good3")))
    spoil(t, t.keyspace.job("bad1"))
    jobs = t.claim(wanted=3).jobs
    assert ids(jobs) == ["good1", "bad2", "good2"]
    spoil(t, t.keyspace.job("bad2"))
    settled = [Settlement(j.id, j.claim_seq, SettleKind.COMPLETE, "default", "1") for j in jobs]
    assert [reply.value for reply in t.settle(*settled)] == ["ok", "wrong_type", "ok"]
    t.claim()
    spoil(t, t.keyspace.job("bad3"))
    t.fence("a")
    assert t.recover("a") == Recovered(1, 0, 0, 1, 0)
    assert quarantined(t) == ["bad3", "bad2", "bad1"]
    assert t.cancel("bad1") == "wrong_type"
    assert t.requeue("bad1") == t.purge("bad1") == (RequeueReply.WRONG_TYPE,)
    replies = t.enqueue(Job("f", job_id="bad1"), Job("f", job_id="new"))
    assert [reply.kind for reply in replies] == [EnqueueKind.WRONG_TYPE, EnqueueKind.CREATED]


def test_a_queue_key_of_another_type_costs_that_queue_only(damaged: Transitions) -> None:
    """Producers are told, other queues flow, and jobs that cannot go back are closed or set aside."""
    t = damaged
    jobs = [t.start(f"j{n}") for n in range(5)]
    t.end(jobs[4], SettleKind.FAIL)
    spoil(t, t.keyspace.queue("default"))
    replies = t.enqueue(Job("f"), Job("f", job_id="ok", queue_name="other"))
    assert [reply.kind for reply in replies] == [EnqueueKind.WRONG_TYPE, EnqueueKind.CREATED]
    requests = [transitions.ClaimRequest(queue, "python", 5) for queue in ("default", "other")]
    claim = t.run(transitions.claim(t.keyspace, "a", requests, {}, now_ms=t.now_ms))
    assert ids(claim.jobs) == ["ok"]
    kinds = (SettleKind.RETRY, SettleKind.RELEASE, SettleKind.COMPLETE)
    batch = [Settlement(j.id, j.claim_seq, k, "default", "1") for j, k in zip(jobs, kinds, strict=False)]
    assert [reply.value for reply in t.settle(*batch)] == ["ok"] * 3
    assert t.record("j2")["status"] == "COMPLETED"
    t.fence("a")
    assert t.recover("a").left == 0
    assert set(quarantined(t)) == {"j0", "j1", "j3"}
    assert t.requeue("j4") == (RequeueReply.WRONG_TYPE,)
    assert t.dead() == ["j4"]
    assert t.cancel("j0") == "cancelled"
    assert t.purge("j1", waiting_too=True) == (RequeueReply.OK,)


def test_a_dlq_key_of_another_type_does_not_keep_jobs_alive(damaged: Transitions) -> None:
    """The job is closed all the same, and its id set aside where a person will look."""
    t = damaged
    jobs = [t.start(f"j{n}") for n in range(3)]
    spoil(t, t.keyspace.dlq("default"))
    t.end(jobs[0], SettleKind.FAIL, "oops")
    t.fence("a")
    assert t.recover("a", max_crashes=1) == Recovered(0, 2, 0, 0, 0)
    assert {t.record(f"j{n}")["status"] for n in range(3)} == {"FAILED"}
    assert set(quarantined(t)) == {"j0", "j1", "j2"}
    assert t.requeue("j0") == (RequeueReply.WRONG_TYPE,)
    assert t.purge("j0") == (RequeueReply.OK,)


SIDE_KEYS: list[tuple[str, Callable[[Keyspace], str]]] = [
    ("stats", lambda keys: keys.stats("default")),
    ("wake", lambda keys: keys.wake("default")),
    ("paused", lambda keys: keys.paused),
    ("queues", lambda keys: keys.queues),
    ("dlqs", lambda keys: keys.dlqs),
    ("quarantine", lambda keys: keys.quarantine),
    ("events", lambda keys: keys.events("j")),
    ("control", lambda keys: keys.control("a")),
    ("health", lambda keys: keys.health("a")),
    ("idempotency", lambda keys: keys.idempotency("u")),
    ("lock_unique", lambda keys: keys.lock_unique("u")),
    ("lock_job", lambda keys: keys.lock_job("j")),
    ("rate_limit", lambda keys: keys.rate_limit("k")),
    ("debounce", lambda keys: keys.debounce("k")),
]


@pytest.mark.parametrize(("name", "key"), SIDE_KEYS, ids=[name for name, _ in SIDE_KEYS])
def test_no_other_key_stops_a_job(damaged: Transitions, name: str, key: Callable[[Keyspace], str]) -> None:
    """A counter, marker, guard or report of the wrong type costs its own purpose at most."""
    t = damaged
    as_list = name in {"health", "idempotency", "lock_unique", "lock_job", "rate_limit", "debounce"}
    spoil(t, key(t.keyspace), as_list=as_list)
    t.register("a")
    t.run(transitions.heartbeat(t.keyspace, Lease("a", 10_000, b"{}", 20_000), now_ms=t.now_ms))
    guard = Guard("debounce", "k", 60) if name == "debounce" else None
    t.enqueue(Job("f", job_id="j", unique_key="u"), guard=guard)
    (job,) = t.claim().jobs
    assert t.cancel("j", job_events=True) == "requested"
    t.client.hdel(t.keyspace.job("j"), "cancel_requested_at")
    failed = Settlement("j", job.claim_seq, SettleKind.FAIL, "default", "oops", ttl_seconds=60)
    assert t.settle(failed, job_events=True, compat_job_locks=True)[0].value == "ok"
    assert t.requeue("j") == (RequeueReply.OK,)
    t.claim()
    t.fence("a")
    assert t.recover("a").recovered == 1
    assert t.cancel("j", job_events=True) == "cancelled"
    assert t.purge("j") == (RequeueReply.OK,)


def test_a_debounce_key_may_name_anything(damaged: Transitions) -> None:
    """A holder whose record, or whose queue, is of the wrong type is passed over; a new job begins."""
    t = damaged
    guard = Guard("debounce", "k", 60)
    for name, key in (("one", t.keyspace.job("one")), ("two", t.keyspace.queue("q"))):
        t.enqueue(Job("f", job_id=name, queue_name="q"), guard=guard)
        spoil(t, key)
        (reply,) = t.enqueue(Job("f", job_id=f"{name}-next"), guard=guard)
        assert reply == transitions.EnqueueReply(EnqueueKind.CREATED, f"{name}-next")
        t.client.delete(key, t.keyspace.debounce("k"))


def test_an_unusable_active_set_is_as_good_as_a_lost_lease(damaged: Transitions) -> None:
    """Its orchestrator is told to start again under another id, and reaping it comes to an end."""
    t = damaged
    t.register("a")
    t.add("j")
    spoil(t, t.keyspace.active("a"))
    assert t.claim("a").fenced
    assert t.queued() == ["j"]
    assert t.run(transitions.deregister(t.keyspace, "a", now_ms=t.now_ms)) == 0
    t.register("a")
    t.fence("a")
    assert t.recover("a") == Recovered(0, 0, 0, 0, 0)
    assert t.client.exists(t.keyspace.reaping) == 0


def test_an_attempt_ends_without_its_active_set(damaged: Transitions) -> None:
    """The index is not the authority: a settlement is carried out when the active set is spoilt."""
    job = damaged.start("j")
    spoil(damaged, damaged.keyspace.active("a"))
    assert damaged.end(job, SettleKind.COMPLETE).value == "ok"


@pytest.mark.parametrize("key", ["workers", "reaping"])
def test_without_the_lists_of_leases_a_person_has_to_act(damaged: Transitions, key: str) -> None:
    """The error says so by its class, and no orchestrator falls between the two lists."""
    t = damaged
    t.start("j")
    if key == "workers":
        spoil(t, t.keyspace.workers)
        with pytest.raises(redis.ResponseError) as caught:
            t.claim("a")
    else:
        spoil(t, t.keyspace.reaping)
        with pytest.raises(redis.ResponseError) as caught:
            t.fence("a")
        assert t.client.zscore(t.keyspace.workers, "a") is not None
    assert classify_reply(str(caught.value)) is RedisFault.CONFIGURATION


@pytest.mark.parametrize(
    "field", ["function_name", "enqueue_time", "max_retries", "result_ttl_seconds", "dlq_name", "crash_count"]
)
def test_no_field_makes_a_reply_too_large(damaged: Transitions, field: str) -> None:
    """Where strangers' records are large, whatever makes them so, a call takes fewer of them."""
    damaged.register("a")
    for n in range(4):
        damaged.add(f"j{n}")
        damaged.client.hset(damaged.keyspace.job(f"j{n}"), field, "x" * 3 * 1024 * 1024)
    claim = damaged.claim()
    assert (len(claim.jobs) + len(claim.malformed), claim.queues[0].claimed) == (3, 3)
    assert damaged.queued() == ["j3"]
    assert damaged.claim().queues[0].claimed == 1
