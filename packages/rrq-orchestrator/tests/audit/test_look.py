"""The look over a real Redis: whatever the size of its steps, and whatever is stored.

That each kind of damage is found is in the contract wheel's test_audit.py, which uses this look.
"""

import random
from collections.abc import Callable
from typing import Any

import pytest

from rrq_orchestrator.audit import Finding, Look, LookRefused, Rules
from rrq_orchestrator.audit.batches import Batch
from rrq_protocol import Job
from rrq_protocol.transitions import SettleKind
from support.audit import judge, look_with, read_keys
from support.transitions import Transitions

RULES = Rules(max_crashes=3, conserved=True)


@pytest.fixture
def t(redis_client: Any, keyspace: Any) -> Transitions:
    """Return the transitions of a keyspace."""
    return Transitions(redis_client, keyspace)


def populated(t: Transitions, jobs: int = 30) -> Transitions:
    """Bring jobs into all states."""
    t.register("a", "b")
    t.enqueue(*(Job("f", job_id=f"j{n}", unique_key=f"u{n}", queue_name=f"q{n % 2}") for n in range(jobs)))
    kinds = [SettleKind.COMPLETE, SettleKind.FAIL, SettleKind.RETRY, SettleKind.CANCEL, None]
    for n, job in enumerate(t.claim("a", jobs // 3, "q0").jobs):
        if (kind := kinds[n % 5]) is not None:
            t.end(job, kind)
    return t


def everything(t: Transitions, **options: Any) -> tuple[Finding, ...]:
    """Look at everything."""
    return look_with(t.client, Look(t.keyspace, RULES, **options).everything()).findings


def damage(t: Transitions, rng: random.Random) -> None:
    """Break some things at random."""
    for _ in range(8):
        break_one(t, rng, f"j{rng.randrange(30)}", f"q{rng.randrange(2)}")


def break_one(t: Transitions, rng: random.Random, job: str, other: str) -> None:
    """Break one thing about a job."""
    choices: list[Callable[[], object]] = [
        lambda: t.client.zrem(t.keyspace.queue(other), job),
        lambda: t.client.zadd(t.keyspace.queue(other), {job: rng.choice([1, "inf"])}),
        lambda: t.client.zadd(t.keyspace.active("b"), {job: 1}),
        lambda: t.client.rpush(t.keyspace.dlq(other), job),
        lambda: t.client.delete(t.keyspace.job(job)),
        lambda: t.client.expire(t.keyspace.job(job), 500),
        lambda: t.client.set(t.keyspace.idempotency(f"x{job}"), job),
        lambda: t.client.hset(t.keyspace.job(job), "status", rng.choice(["PENDING", "ACTIVE", "FAILED"])),
        lambda: t.client.delete(t.keyspace.active("a")),
    ]
    rng.choice(choices)()


@pytest.mark.parametrize("step", [1, 2, 7, 500])
def test_steps_of_any_size_find_the_same_as_a_snapshot(t: Transitions, rng: random.Random, step: int) -> None:
    """Reading page by page sees what the judges say of all keys at once."""
    populated(t)
    assert everything(t, step=step) == ()
    damage(t, rng)
    expected = judge(read_keys(t.client, t.keyspace), t.keyspace, RULES)
    # Sizes of indexes and statuses of records count jobs differently where the two disagree.
    found = {each.identity for each in everything(t, step=step) if each.rule != "I13"}
    assert found == {each.identity for each in expected if each.rule != "I13"}


def _forget(t: Transitions, job_id: str) -> None:
    """Delete a job and every trace of it."""
    t.client.delete(t.keyspace.job(job_id))
    for key in t.client.scan_iter(f"{t.keyspace.prefix}:*"):
        kind = t.client.type(key)
        if kind == b"zset":
            t.client.zrem(key, job_id)
        elif kind == b"list":
            t.client.lrem(key, 0, job_id)
        elif kind == b"string" and t.client.get(key) == job_id.encode():
            t.client.delete(key)


def test_a_second_look_confirms_what_is_still_there(t: Transitions, rng: random.Random) -> None:
    """What was mended meanwhile is gone from the findings; all else is found as it was."""
    populated(t)
    damage(t, rng)
    look = Look(t.keyspace, RULES, step=3)
    first = look_with(t.client, look.everything()).findings
    assert look_with(t.client, look.again(first)) == first
    assert look_with(t.client, Look(t.keyspace, RULES).again(first)) == first
    mended = next(each.job_id for each in first if each.job_id is not None)
    _forget(t, mended)
    seen = look_with(t.client, look.again(first))
    assert mended not in {each.job_id for each in seen}
    assert set(seen) < set(first)
    for key in t.client.keys(f"{t.keyspace.prefix}:*"):
        t.client.delete(key)
    assert look_with(t.client, look.again(first)) == ()


def test_findings_are_bounded(t: Transitions) -> None:
    """Beyond the limit they are counted only."""
    populated(t)
    t.client.delete(t.keyspace.queue("q0"), t.keyspace.queue("q1"))
    report = look_with(t.client, Look(t.keyspace, RULES, most=5).everything())
    assert (len(report.findings), report.left_out > 10, report.jobs) == (5, True, 30)


def test_batches_are_bounded(t: Transitions) -> None:
    """No batch is larger than its step allows, small indexes that come whole included."""
    populated(t)
    reading = Look(t.keyspace, RULES, step=4).everything()
    largest, replies = 0, None
    connection = t.client.connection_pool.connection_class(
        **{**t.client.connection_pool.connection_kwargs, "protocol": 2}
    )
    from support.audit import ask

    try:
        while True:
            commands: Batch = next(reading) if replies is None else reading.send(replies)
            keyed = [each for each in commands if each[0] in ("HMGET", "PTTL", "GET", "TYPE", "ZSCORE")]
            largest = max(largest, len(keyed))
            replies = ask(connection, commands)
    except StopIteration:
        pass
    connection.disconnect()
    # A scan may return some more than it was asked for.
    assert largest <= 60


def test_hostile_keys_are_survived(t: Transitions) -> None:
    """Names and values of any bytes, and families of the wrong type, are findings at most."""
    populated(t)
    prefix = t.keyspace.prefix.encode()
    t.client.hset(prefix + b":job:\xff\x1b[2J", mapping={b"status": b"\xff", b"id": b"\0"})
    t.client.zadd(prefix + b":queue:\xfe", {b"\xff\xfe": 1})
    t.client.zadd(prefix + b":active:jobs:\xfd", {b"\xff\xfe": 1})
    t.client.rpush(prefix + b":dlq:\xfc", b"\xff")
    t.client.set(prefix + b":idempotency:\xfb", b"\xff")
    t.client.xadd(prefix + b":events:job:\xfa", {b"\xff": b"\xff", b"status": b"\xff"})
    for key in (t.keyspace.queue("s"), t.keyspace.active("s"), t.keyspace.workers, t.keyspace.job("s")):
        t.client.delete(key)
        t.client.set(key, b"\xff")
    t.client.hset(t.keyspace.dlq("h"), "a", "b")
    found = everything(t, step=2)
    assert {"F40", "I3", "I7", "I8", "I9", "I12"} <= {each.rule for each in found}
    assert look_with(t.client, Look(t.keyspace, RULES).again(found)) == found


def test_a_job_that_names_no_queue_may_be_in_any(t: Transitions) -> None:
    """A foreign producer's record is believed where it is found, and missed only where it is nowhere."""
    t.enqueue(Job("f", job_id="j", queue_name="far"))
    t.client.hdel(t.keyspace.job("j"), "queue_name")
    assert everything(t) == ()
    t.client.delete(t.keyspace.queue("far"))
    assert [each.rule for each in everything(t) if each.rule != "I13"] == ["I1"]


def test_a_refusal_is_told() -> None:
    """What may not be read is an error, not a key that is missing."""
    from redis.exceptions import NoPermissionError

    from rrq_protocol import Keyspace

    reading = Look(Keyspace(), RULES).everything()
    next(reading)
    with pytest.raises(LookRefused):
        reading.send([NoPermissionError("NOPERM no")])
