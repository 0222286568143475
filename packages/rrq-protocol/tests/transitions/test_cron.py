"""Ticks of cron entries: since when they count, and each is fired once (F51, F52)."""

from typing import Any

import pytest

from rrq_protocol import Job, transitions
from rrq_protocol.transitions import EnqueueKind, EnqueueReply, Guard, SettleKind
from support.transitions import NOON_MS, Transitions

CREATED, EXISTS, UNIQUE = EnqueueKind.CREATED, EnqueueKind.EXISTS, EnqueueKind.UNIQUE


def anchored(t: Transitions, schedule: str = "@hourly UTC") -> int | None:
    """Note the entry ``e``."""
    return t.run(transitions.anchor(t.keyspace, "e", schedule, now_ms=t.now_ms))


def fire(t: Transitions, *ticks_ms: int, **fields: Any) -> list[EnqueueReply]:
    """Ask for the jobs of ticks of the entry ``e``, in one call."""
    prepared = [
        transitions.prepare(
            Job("f", job_id=f"cron:e:{tick}", **fields), t.defaults, guard=Guard("tick", "e", tick_ms=tick)
        )
        for tick in ticks_ms
    ]
    return list(t.run(transitions.enqueue(t.keyspace, prepared, now_ms=t.now_ms)))


def kinds(replies: list[EnqueueReply]) -> list[EnqueueKind]:
    """Return what became of each."""
    return [reply.kind for reply in replies]


def held(t: Transitions) -> dict[bytes, bytes]:
    """Return the entry's hash."""
    fields: dict[bytes, bytes] = t.client.hgetall(t.keyspace.cron("e"))
    return fields


def test_a_new_entry_counts_from_now(t: Transitions) -> None:
    """Whoever notes it first; asked again, the answer is the same."""
    assert anchored(t) == NOON_MS
    t.now_ms += 5000
    assert anchored(t) == NOON_MS
    assert fire(t, NOON_MS)[0].kind is EXISTS


def test_another_schedule_counts_from_now(t: Transitions) -> None:
    """What the time before it would have brought is not made up for; and a clock that was set back does not
    make what was fired due again."""
    assert anchored(t) == NOON_MS
    t.now_ms += 5000
    assert anchored(t, "@daily UTC") == NOON_MS + 5000
    t.now_ms -= 60_000
    assert anchored(t, "@monthly UTC") == NOON_MS + 5000


def test_a_tick_is_fired_once(t: Transitions) -> None:
    """By whoever comes first; a repeat and one who comes later are told so, also when the job is gone."""
    anchored(t)
    tick = NOON_MS + 1000
    assert fire(t, tick) == [EnqueueReply(CREATED, f"cron:e:{tick}")]
    assert kinds(fire(t, tick)) == [EXISTS]
    assert held(t)[b"job_id"] == f"cron:e:{tick}".encode()
    assert (held(t)[b"fired"], held(t)[b"tick"]) == (str(tick).encode(),) * 2
    t.register("a")
    (job,) = t.claim().jobs
    t.end(job, SettleKind.COMPLETE)
    t.client.delete(t.keyspace.job(job.id))
    assert kinds(fire(t, tick)) == [EXISTS]
    assert kinds(fire(t, tick - 1000, tick, tick + 1000, tick + 1000)) == [EXISTS, EXISTS, CREATED, EXISTS]


def test_a_tick_whose_job_is_there_already_is_passed(t: Transitions) -> None:
    """The hash was lost, the job was not: no second one, and no asking for ever."""
    fire(t, NOON_MS)
    t.client.delete(t.keyspace.cron("e"))
    assert kinds(fire(t, NOON_MS, NOON_MS + 1000)) == [EXISTS, CREATED]
    assert b"schedule" not in held(t)


def test_a_tick_is_skipped_while_the_last_job_runs(t: Transitions) -> None:
    """`unique`: it is passed over for good; the next one after the job's end is fired."""
    unique = {"unique_key": "cron:e"}
    (first,) = fire(t, NOON_MS, **unique)
    t.register("a")
    (job,) = t.claim().jobs
    assert fire(t, NOON_MS + 1000, **unique) == [EnqueueReply(UNIQUE, first.job_id)]
    assert held(t)[b"fired"] == str(NOON_MS).encode()
    t.end(job, SettleKind.COMPLETE)
    assert kinds(fire(t, NOON_MS + 1000, NOON_MS + 2000, **unique)) == [EXISTS, CREATED]


@pytest.mark.parametrize("garbage", ["x", "", "nan", "1e300", "-5", "7258118400001"])
def test_a_tick_that_is_none_counts_as_none(t: Transitions, garbage: str) -> None:
    """What a stranger wrote there, or a time beyond all times, does not stop an entry for ever."""
    t.client.hset(t.keyspace.cron("e"), mapping={"tick": garbage, "schedule": "@hourly UTC"})
    assert kinds(fire(t, NOON_MS)) == [CREATED]
    t.client.hset(t.keyspace.cron("e"), "tick", garbage)
    assert anchored(t) == NOON_MS


def test_keys_of_the_wrong_type_are_told(damaged: Transitions) -> None:
    """Nothing is written; a queue that cannot be used leaves the tick to be fired (F40)."""
    damaged.client.set(damaged.keyspace.cron("e"), "x")
    assert anchored(damaged) is None
    assert kinds(fire(damaged, NOON_MS)) == [EnqueueKind.WRONG_TYPE]
    damaged.client.delete(damaged.keyspace.cron("e"))
    damaged.client.set(damaged.keyspace.queue("default"), "x")
    assert kinds(fire(damaged, NOON_MS)) == [EnqueueKind.WRONG_TYPE]
    damaged.client.delete(damaged.keyspace.queue("default"))
    assert kinds(fire(damaged, NOON_MS)) == [CREATED]
