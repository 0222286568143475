"""The auditor finds each kind of damage, and finds nothing where there is none."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from rrq_protocol import Job
from rrq_protocol.transitions import SettleKind
from support.audit import Rules, judge
from support.snapshot import Snapshots
from support.transitions import Transitions


def populated(t: Transitions) -> Transitions:
    """Bring jobs into every state: p pending, r retrying, a active, c completed, d dead, x cancelled."""
    t.register("a")
    t.enqueue(*(Job("f", job_id=name, unique_key=f"u-{name}") for name in "radcx"))
    for job in t.claim().jobs:
        kind = {"r": SettleKind.RETRY, "d": SettleKind.FAIL, "c": SettleKind.COMPLETE}.get(job.id)
        if job.id == "x":
            t.cancel("x")
            kind = SettleKind.CANCEL
        if kind is not None:
            t.end(job, kind, "null", delay_ms=60_000)
    t.add("p", unique_key="u-p")
    return t


def test_every_state_is_in_order(t: Transitions) -> None:
    """A keyspace that only transitions have written has no findings, with every check on."""
    populated(t)
    assert {name: t.record(name)["status"] for name in "pracdx"} == {
        "p": "PENDING", "r": "RETRYING", "a": "ACTIVE", "c": "COMPLETED", "d": "FAILED", "x": "CANCELLED"
    }  # fmt: skip
    assert t.audit() == ()


Damage = Callable[[Any, Any], object]

DAMAGES: list[tuple[str, str, Damage]] = [
    ("I1", "waits in no queue", lambda r, k: r.zrem(k.queue("default"), "p")),
    ("I1", "waits in two queues", lambda r, k: r.zadd(k.queue("other"), {"p": 1})),
    ("I1", "waits in the wrong queue", lambda r, k: r.hset(k.job("p"), "queue_name", k.queue("other"))),
    ("I1", "waits and is held", lambda r, k: r.zadd(k.active("a"), {"r": 1})),
    ("I1", "active in no set", lambda r, k: r.zrem(k.active("a"), "a")),
    ("I1", "active in another's set", lambda r, k: r.hset(k.job("a"), "worker_id", "b")),
    ("I1", "active and queued", lambda r, k: r.zadd(k.queue("default"), {"a": 1})),
    ("I1", "ended and queued", lambda r, k: r.zadd(k.queue("default"), {"c": 1})),
    ("I2", "failed, not in a DLQ", lambda r, k: r.lrem(k.dlq("default"), 0, "d")),
    ("I2", "twice in a DLQ", lambda r, k: r.rpush(k.dlq("default"), "d")),
    ("I2", "in two DLQs", lambda r, k: r.rpush(k.dlq("other"), "d")),
    ("I2", "completed and in a DLQ", lambda r, k: r.rpush(k.dlq("default"), "c")),
    ("I3", "a ghost", lambda r, k: r.hset(k.job("ghost"), "last_error", "oops")),
    ("I3", "no function", lambda r, k: r.hdel(k.job("c"), "function_name")),
    ("I3", "unknown status", lambda r, k: r.hset(k.job("c"), "status", "DONE")),
    ("I3", "another's id", lambda r, k: r.hset(k.job("c"), "id", "d")),
    ("I4", "a live job expires", lambda r, k: r.expire(k.job("p"), 100)),
    ("I5", "a token that is none", lambda r, k: r.hset(k.job("a"), "claim_seq", "1.5")),
    ("I7", "held by nobody known", lambda r, k: (r.zrem(k.workers, "a"), r.delete(k.health("a")))),
    ("I8", "queued without a record", lambda r, k: r.zadd(k.queue("default"), {"ghost": 1})),
    ("I8", "held without a record", lambda r, k: r.zadd(k.active("a"), {"ghost": 1})),
    ("I8", "dead without a record", lambda r, k: r.rpush(k.dlq("default"), "ghost")),
    ("I9", "key of an ended job", lambda r, k: r.set(k.idempotency("u"), "c")),
    ("I9", "key of no job", lambda r, k: r.set(k.lock_unique("u"), "ghost")),
    ("I10", "too many attempts", lambda r, k: r.hset(k.job("p"), "current_retries", 6)),
    ("I10", "too many crashes", lambda r, k: r.hset(k.job("p"), "crash_count", 4)),
    ("I10", "no count", lambda r, k: r.hset(k.job("p"), "current_retries", "few")),
    ("I11", "never due", lambda r, k: r.zadd(k.queue("default"), {"p": math.inf})),
    ("I11", "due before 1970", lambda r, k: r.zadd(k.queue("default"), {"p": -1})),
    ("I12", "another event", lambda r, k: r.xadd(k.events("c"), {"status": "FAILED"})),
    ("I12", "an event of a live job", lambda r, k: r.xadd(k.events("p"), {"status": "COMPLETED"})),
    ("I12", "an event of no job", lambda r, k: r.xadd(k.events("ghost"), {"status": "COMPLETED"})),
    ("I13", "a job vanished", lambda r, k: (r.delete(k.job("p")), r.zrem(k.queue("default"), "p"))),
    ("I13", "a count is off", lambda r, k: r.hincrby(k.stats("default"), "completed", 1)),
    ("F40", "a job of another type", lambda r, k: (r.delete(k.job("c")), r.set(k.job("c"), "x"))),
    ("F40", "leases of another type", lambda r, k: r.set(k.reaping, "x")),
    ("F40", "a queue of another type", lambda r, k: r.set(k.queue("other"), "x")),
    ("F40", "an id set aside", lambda r, k: r.rpush(k.quarantine, "j")),
]


@pytest.mark.parametrize(("rule", "what", "damage"), DAMAGES, ids=[f"{r} {what}" for r, what, _ in DAMAGES])
def test_damage_is_found(damaged: Transitions, rule: str, what: str, damage: Damage) -> None:
    """Each broken invariant is reported under its name, with the key at which it shows; the model check,
    which reads the keys in its own way, reports it too.
    """
    t = populated(damaged)
    damage(t.client, t.keyspace)
    found = t.audit()
    assert rule in {finding.rule for finding in found}, found
    assert all(finding.key.startswith(f"{t.keyspace.prefix}:") and finding.problem for finding in found)
    assert t.audit() == found
    seen = judge(Snapshots(t.client, t.keyspace).read(), t.keyspace, Rules(max_crashes=3, conserved=True))
    assert rule in {finding.rule for finding in seen}, seen


def test_events_are_asked_for_where_they_are_written(t: Transitions) -> None:
    """With job events every ended job needs its event; without them their absence is no finding."""
    populated(t)
    assert {finding.job_id for finding in t.audit(job_events=True)} == {"c", "d", "x"}


def test_records_set_aside_are_no_damage(t: Transitions) -> None:
    """A malformed record that was failed with the reason stays as it was, and is in order."""
    t.register("a")
    t.add("j")
    t.client.hdel(t.keyspace.job("j"), "function_name")
    t.claim()
    assert t.dead() == ["j"]
    assert t.audit() == ()


def test_only_this_keyspace_is_read(t: Transitions) -> None:
    """Keys of other prefixes, also longer ones and patterns, are none of its business."""
    stranger = f"{t.keyspace.prefix}x:job:j"
    t.client.set(stranger, "not a hash")
    assert t.audit() == ()
    t.client.delete(stranger)
