"""Putting index entries right: only what is broken, only under the evidence of what was seen (T15)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import redis

from rrq_protocol import Keyspace, RedisFault, classify_reply
from rrq_protocol.transitions import Evidence, Repair, RepairKind, SettleKind, repair
from support.redis_servers import RedisServer
from support.transitions import Transitions

Break = Callable[[Any, Keyspace], object]


def populated(t: Transitions) -> Transitions:
    """Bring jobs into states: p pending, a active, c completed, d dead."""
    t.register("a")
    for name in "cda":
        t.add(name)
    for job in t.claim().jobs:
        if job.id in "cd":
            t.end(job, SettleKind.COMPLETE if job.id == "c" else SettleKind.FAIL)
    t.add("p", unique_key="u")
    return t


def queueing(job_id: str) -> Break:
    """Return what puts a job into the default queue."""
    return lambda r, k: r.zadd(k.queue("default"), {job_id: 1})


BROKEN: list[tuple[str, RepairKind, str, str, Break]] = [
    ("waits nowhere", RepairKind.QUEUE, "p", "", lambda r, k: r.zrem(k.queue("default"), "p")),
    ("never due", RepairKind.QUEUE, "p", "", lambda r, k: r.zadd(k.queue("default"), {"p": "inf"})),
    ("due before 1970", RepairKind.QUEUE, "p", "", lambda r, k: r.zadd(k.queue("default"), {"p": -5})),
    ("in no active set", RepairKind.OWNER, "a", "", lambda r, k: r.zrem(k.active("a"), "a")),
    ("expires", RepairKind.TTL, "p", "", lambda r, k: r.expire(k.job("p"), 900)),
    ("not buried", RepairKind.DEAD, "d", "default", lambda r, k: r.lrem(k.dlq("default"), 0, "d")),
    ("buried twice", RepairKind.DEAD, "d", "default", lambda r, k: r.rpush(k.dlq("default"), "d", "d")),
    ("buried elsewhere", RepairKind.BURIED, "d", "other", lambda r, k: r.rpush(k.dlq("other"), "d")),
    ("buried alive", RepairKind.BURIED, "p", "default", lambda r, k: r.rpush(k.dlq("default"), "p")),
    ("queued at its end", RepairKind.QUEUED, "c", "default", queueing("c")),
    ("queued and active", RepairKind.QUEUED, "a", "default", queueing("a")),
    ("in two queues", RepairKind.QUEUED, "p", "other", lambda r, k: r.zadd(k.queue("other"), {"p": 1})),
    ("held and waiting", RepairKind.HELD, "p", "a", lambda r, k: r.zadd(k.active("a"), {"p": 1})),
    ("held by two", RepairKind.HELD, "a", "b", lambda r, k: (r.zadd(k.active("b"), {"a": 1}))),
    ("keeps a key", RepairKind.IDEMPOTENCY, "c", "x", lambda r, k: r.set(k.idempotency("x"), "c")),
    ("keeps a lock", RepairKind.UNIQUE, "c", "x", lambda r, k: r.set(k.lock_unique("x"), "c")),
    ("orphans", RepairKind.REAP, "", "a", lambda r, k: (r.zrem(k.workers, "a"), r.delete(k.health("a")))),
    ("a key of no job", RepairKind.UNIQUE, "ghost", "x", lambda r, k: r.set(k.lock_unique("x"), "ghost")),
    ("a grave of none", RepairKind.BURIED, "nil", "default", lambda r, k: r.rpush(k.dlq("default"), "nil")),
]  # fmt: skip

# An orphaned set has no record that could be another.
OF_JOBS = [row for row in BROKEN if row[1] is not RepairKind.REAP]


def seen(t: Transitions, job_id: str) -> Evidence:
    """Return the evidence of a job, none where there is no job."""
    return t.evidence(job_id) if job_id else Evidence()


@pytest.mark.parametrize(
    ("what", "kind", "job_id", "place", "damage"), BROKEN, ids=[row[0] for row in BROKEN]
)
def test_what_is_broken_is_put_right_once(
    t: Transitions, what: str, kind: RepairKind, job_id: str, place: str, damage: Break
) -> None:
    """The fault goes, every invariant holds again, and a second call finds nothing to do (I16)."""
    populated(t)
    damage(t.client, t.keyspace)
    assert t.audit() != (), what
    wanted = Repair(kind, job_id, seen(t, job_id), place)
    assert t.repair(wanted) == ["repaired"]
    assert t.audit() == ()
    assert t.repair(wanted) == ["fine"]


@pytest.mark.parametrize(("what", "kind", "job_id", "place", "damage"), OF_JOBS, ids=[r[0] for r in OF_JOBS])
@pytest.mark.parametrize("field", ["status", "worker_id", "claim_seq"])
def test_other_evidence_moves_nothing(
    damaged: Transitions, what: str, kind: RepairKind, job_id: str, place: str, damage: Break, field: str
) -> None:
    """A record that is not as it was seen, in any one field, is left alone, and so are its entries."""
    t = populated(damaged)
    damage(t.client, t.keyspace)
    before = t.audit()
    evidence = msgspec.structs.replace(seen(t, job_id), **{field: "x"})
    assert t.repair(Repair(kind, job_id, evidence, place)) == ["changed"], what
    assert t.audit() == before


def test_missing_jobs_are_noted_once(damaged: Transitions) -> None:
    """Only while the counter of lost jobs says what it said then; a key of another type is left alone."""
    t, wanted = damaged, Repair(RepairKind.COUNTERS, place="", due_ms=2)
    assert t.repair(wanted) == ["repaired"]
    assert t.client.hget(t.keyspace.stats("default"), "lost") == b"2"
    assert t.repair(wanted) == ["changed"]
    assert t.repair(Repair(RepairKind.COUNTERS, place="2", due_ms=-2)) == ["repaired"]
    assert t.client.hget(t.keyspace.stats("default"), "lost") == b"0"
    t.client.delete(t.keyspace.stats("default"))
    t.client.set(t.keyspace.stats("default"), "x")
    assert t.repair(wanted) == ["wrong_type"]


def test_a_sound_keyspace_is_left_as_it_is(t: Transitions) -> None:
    """Every kind of repair, for every job and a stranger, changes no key where nothing is wrong."""
    populated(t)
    dump = {key: t.client.dump(key) for key in t.client.keys(f"{t.keyspace.prefix}:*")}
    for job_id in ("p", "a", "c", "d", "ghost"):
        for kind in RepairKind:
            place = {"p": "u", "d": "default", "a": "a"}.get(job_id, "default")
            place = "a" if kind in (RepairKind.REAP, RepairKind.HELD) else place
            place = "default" if kind in (RepairKind.QUEUED, RepairKind.DEAD, RepairKind.BURIED) else place
            assert t.repair(Repair(kind, job_id, seen(t, job_id), place)) == ["fine"], (kind, job_id)
    assert {key: t.client.dump(key) for key in t.client.keys(f"{t.keyspace.prefix}:*")} == dump


def test_a_job_comes_back_when_it_is_due_and_wakes_somebody(t: Transitions) -> None:
    """It gets the due time that is given, else now, in the queue that its record names; a marker is left."""
    t.add("late", queue_name="other")
    t.add("soon", queue_name="other")
    t.client.delete(t.keyspace.queue("other"), t.keyspace.queues, t.keyspace.wake("other"))
    late = Repair(RepairKind.QUEUE, "late", t.evidence("late"), due_ms=t.now_ms + 5000)
    assert t.repair(late, Repair(RepairKind.QUEUE, "soon", t.evidence("soon"))) == ["repaired"] * 2
    assert (t.due_ms("late", "other"), t.due_ms("soon", "other")) == (t.now_ms + 5000, t.now_ms)
    assert t.client.smembers(t.keyspace.queues) == {b"other"}
    assert t.client.llen(t.keyspace.wake("other")) == 1


@pytest.mark.parametrize("listed", ["workers", "reaping", "neither"])
def test_a_lost_attempt_goes_to_its_owner_or_to_the_janitors(t: Transitions, listed: str) -> None:
    """A live owner gets its entry back; for any other the janitors take the job, a crash charged (T7)."""
    t.start("j", orchestrator="a")
    t.client.delete(t.keyspace.active("a"))
    if listed != "workers":
        t.client.zrem(t.keyspace.workers, "a")
        t.client.delete(t.keyspace.health("a"))
    if listed == "reaping":
        t.client.zadd(t.keyspace.reaping, {"a": 5})
    assert t.repair(Repair(RepairKind.OWNER, "j", t.evidence("j"))) == ["repaired"]
    assert t.held("a") == ["j"]
    assert t.audit() == ()
    if listed != "workers":
        assert t.recover("a").recovered == 1
        assert t.record("j")["crash_count"] == "1"


@pytest.mark.parametrize("owner", [None, "", "a b", "\u202e", "x" * 300])
def test_an_attempt_of_nobody_is_taken_back_too(t: Transitions, owner: str | None) -> None:
    """Without an owner that can be named the job is recovered under a name for such ones."""
    t.start("j")
    t.client.delete(t.keyspace.active("a"))
    key = t.keyspace.job("j")
    if owner is None:
        t.client.hdel(key, "worker_id")
    else:
        t.client.hset(key, "worker_id", owner)
    assert t.repair(Repair(RepairKind.OWNER, "j", t.evidence("j"))) == ["repaired"]
    assert t.recover("unknown").recovered == 1
    assert t.queued() == ["j"]


def test_a_live_orchestrator_of_the_public_line_keeps_its_jobs(t: Transitions) -> None:
    """It is in neither list; its health report says that it lives, so nothing is taken from it."""
    t.start("j")
    t.client.zrem(t.keyspace.workers, "a")
    assert t.audit() == ()
    assert t.repair(Repair(RepairKind.REAP, place="a")) == ["fine"]
    t.client.delete(t.keyspace.active("a"))
    assert t.repair(Repair(RepairKind.OWNER, "j", t.evidence("j"))) == ["repaired"]
    assert t.client.exists(t.keyspace.reaping) == 0


def test_entries_of_lost_records_are_counted_as_lost(t: Transitions) -> None:
    """A job whose record is gone has left the books: the counters add up again (I13)."""
    t.start("k")
    t.add("j")
    t.client.delete(t.keyspace.job("j"), t.keyspace.job("k"))
    held = Repair(RepairKind.HELD, "k", Evidence(), "a")
    queued = Repair(RepairKind.QUEUED, "j", Evidence(), "default")
    assert t.repair(queued, held) == ["repaired", "repaired"]
    assert t.counts()["lost"] == 2


def test_a_job_in_the_wrong_queue_only_stays_until_it_is_in_its_own(damaged: Transitions) -> None:
    """Better there than nowhere; a record that names no queue of ours is believed wherever it is found."""
    t = damaged
    t.add("j")
    t.client.zadd(t.keyspace.queue("other"), {"j": 1})
    t.client.zrem(t.keyspace.queue("default"), "j")
    out = Repair(RepairKind.QUEUED, "j", t.evidence("j"), "other")
    assert t.repair(out) == ["fine"]
    assert t.repair(Repair(RepairKind.QUEUE, "j", t.evidence("j")), out) == ["repaired", "repaired"]
    t.client.hset(t.keyspace.job("j"), "queue_name", "some:key")
    t.client.zadd(t.keyspace.queue("other"), {"j": 1})
    assert t.repair(out) == ["fine"]


def test_ids_of_any_bytes_can_be_taken_out(t: Transitions) -> None:
    """What is no UTF-8 goes to the script as it is stored."""
    hostile = b"\xff\xfe\x1b[2J"
    t.client.zadd(t.keyspace.queue("default"), {hostile: 1})
    job_id = hostile.decode("utf-8", "surrogateescape")
    t.client.hincrby(t.keyspace.stats("default"), "enqueued", 1)
    assert t.repair(Repair(RepairKind.QUEUED, job_id, Evidence(), "default")) == ["repaired"]


def test_a_key_of_another_type_is_left_to_a_person(damaged: Transitions) -> None:
    """The answer says so, nothing is written, and the rest of the call is carried out."""
    t = populated(damaged)
    t.client.lrem(t.keyspace.dlq("default"), 0, "d")
    for key in (t.keyspace.queue("default"), t.keyspace.active("a"), t.keyspace.idempotency("x")):
        t.client.delete(key)
        t.client.rpush(key, "spoilt")
    t.client.set(t.keyspace.job("s"), "spoilt")
    kinds = (
        ("p", RepairKind.QUEUE, ""), ("a", RepairKind.OWNER, ""), ("c", RepairKind.QUEUED, "default"),
        ("c", RepairKind.HELD, "a"), ("c", RepairKind.IDEMPOTENCY, "x"), ("", RepairKind.REAP, "a"),
    )  # fmt: skip
    repairs = [Repair(kind, job_id, seen(t, job_id), place) for job_id, kind, place in kinds]
    repairs.append(Repair(RepairKind.TTL, "s"))
    assert t.repair(*repairs) == ["wrong_type"] * 7
    dead = Repair(RepairKind.DEAD, "d", t.evidence("d"), "default")
    assert t.repair(*repairs[:2], dead) == ["wrong_type", "wrong_type", "repaired"]
    t.client.delete(t.keyspace.dlq("default"))
    t.client.set(t.keyspace.dlq("default"), "spoilt")
    assert t.repair(dead, Repair(RepairKind.BURIED, "c", t.evidence("c"), "default")) == ["wrong_type"] * 2


SPOILT: list[tuple[str, Callable[[Keyspace], str]]] = [
    ("workers", lambda keys: keys.workers), ("reaping", lambda keys: keys.reaping),
    ("queues", lambda keys: keys.queues), ("dlqs", lambda keys: keys.dlqs),
    ("quarantine", lambda keys: keys.quarantine), ("wake", lambda keys: keys.wake("default")),
    ("stats", lambda keys: keys.stats("default")), ("health", lambda keys: keys.health("a")),
    ("unique", lambda keys: keys.idempotency("u")), ("active", lambda keys: keys.active("a")),
    ("queue", lambda keys: keys.queue("default")), ("dlq", lambda keys: keys.dlq("default")),
    ("other dlq", lambda keys: keys.dlq("other")),
]  # fmt: skip


@pytest.mark.parametrize("row", BROKEN, ids=[row[0] for row in BROKEN])
@pytest.mark.parametrize(("what", "key"), SPOILT, ids=[name for name, _ in SPOILT])
def test_no_spoilt_key_keeps_others_from_being_repaired(
    damaged: Transitions, row: Any, what: str, key: Callable[[Keyspace], str]
) -> None:
    """Whatever key has the wrong type: a repair is made, or its answer says that the key is in the way; and
    one that needs no such key is made in the same call.
    """
    t, (_, kind, job_id, place, damage) = populated(damaged), row
    damage(t.client, t.keyspace)
    t.client.expire(t.keyspace.job("a"), 900)
    t.client.delete(key(t.keyspace))
    t.client.set(key(t.keyspace), "spoilt") if what != "health" else t.client.rpush(key(t.keyspace), "x")
    other = Repair(RepairKind.TTL, "a", t.evidence("a"))
    answer, neighbour = t.repair(Repair(kind, job_id, seen(t, job_id), place), other)
    assert neighbour == "repaired"
    assert answer in ("repaired", "fine", "wrong_type")
    assert t.client.type(key(t.keyspace)) == (b"list" if what == "health" else b"string")


def test_nobody_is_declared_dead_while_the_lists_cannot_be_read(damaged: Transitions) -> None:
    """A job gets its place back; whether its owner lives is for whoever can read the list of the living."""
    t = populated(damaged)
    t.client.delete(t.keyspace.active("a"), t.keyspace.workers, t.keyspace.health("a"))
    t.client.set(t.keyspace.workers, "spoilt")
    assert t.repair(Repair(RepairKind.OWNER, "a", t.evidence("a"))) == ["repaired"]
    assert t.held("a") == ["a"]
    assert t.repair(Repair(RepairKind.REAP, place="a")) == ["wrong_type"]
    assert t.client.exists(t.keyspace.reaping) == 0
    t.client.delete(t.keyspace.workers)
    assert t.repair(Repair(RepairKind.REAP, place="a")) == ["repaired"]


def test_a_full_memory_or_a_replica(own_redis: RedisServer, keyspace: Keyspace) -> None:
    """Repairs work when memory is full (6.5); a read-only server refuses them as such."""
    with redis.Redis.from_url(own_redis.url) as client:
        t = populated(Transitions(client, keyspace))
        client.zrem(keyspace.queue("default"), "p")
        client.zrem(keyspace.active("a"), "a")
        client.config_set("maxmemory", 1)
        repairs = [
            Repair(RepairKind.QUEUE, "p", t.evidence("p")), Repair(RepairKind.OWNER, "a", t.evidence("a"))
        ]  # fmt: skip
        assert t.repair(*repairs) == ["repaired", "repaired"]
        client.config_set("maxmemory", 0)
        client.replicaof("127.0.0.1", 1)
        with pytest.raises(redis.RedisError) as caught:
            t.repair(*repairs)
        assert classify_reply(str(caught.value)) is RedisFault.RECONNECT
        client.replicaof("NO", "ONE")


def test_an_unknown_kind_is_an_error(t: Transitions) -> None:
    """A caller of another version is told, instead of being answered wrongly."""
    t.add("j")
    call = repair(t.keyspace, [Repair(RepairKind.TTL, "j", t.evidence("j"))])
    args = tuple(b"shuffle" if arg == b"ttl" else arg for arg in call.args)
    with pytest.raises(redis.ResponseError, match="unknown kind shuffle"):
        t.run(replace(call, args=args))
