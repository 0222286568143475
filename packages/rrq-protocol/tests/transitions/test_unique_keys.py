"""The life of a unique key: as long as its job's, whatever its TTL, and no longer (I9, F88)."""

from typing import Any

import pytest

from rrq_protocol import Job
from rrq_protocol.transitions import EnqueueKind, Guard, Repair, RepairKind, SettleKind
from support.audit import read_keys
from support.transitions import Transitions

HOUR_MS = 3_600_000
SHORT: dict[str, Any] = {"unique_key": "u", "unique_ttl_seconds": 1}


def left_ms(t: Transitions, key: str = "u") -> int:
    """Return how long a unique key lasts; -2 where there is none."""
    left: int = t.client.pttl(t.keyspace.idempotency(key))
    return left


def lose(t: Transitions, key: str = "u") -> None:
    """Have a unique key run out."""
    assert t.client.delete(t.keyspace.idempotency(key)) == 1


def holder(t: Transitions, key: str = "u") -> str | None:
    """Return the job that holds a unique key."""
    value: Any = t.client.get(t.keyspace.idempotency(key))
    return None if value is None else value.decode()


def test_a_key_lasts_beyond_the_due_time(t: Transitions) -> None:
    """A job that is deferred holds its key until then, and its TTL longer: it does not start at once."""
    t.add("j", unique_key="u", unique_ttl_seconds=7200, defer_by=3600)
    assert left_ms(t) > 2 * HOUR_MS


def test_a_key_is_moved_along(t: Transitions) -> None:
    """A job that is rescheduled to a later time holds its key until then."""
    t.add("j", defer_by=1, **SHORT)
    moved = Job("f", job_id="j", defer_by=3600, **SHORT)
    assert t.enqueue(moved, guard=Guard("reschedule"))[0].kind == EnqueueKind.UPDATED
    assert left_ms(t) > HOUR_MS / 2


@pytest.mark.parametrize("kind", [SettleKind.RETRY, SettleKind.RELEASE, SettleKind.CRASH, SettleKind.SUSPECT])
def test_a_key_waits_with_its_job(t: Transitions, kind: SettleKind) -> None:
    """However a job goes back into its queue, its key lasts until the job is due again."""
    job = t.start("j", **SHORT)
    t.end(job, kind, delay_ms=HOUR_MS)
    assert t.due_ms("j") == t.now_ms + HOUR_MS
    assert left_ms(t) > HOUR_MS / 2


def test_a_key_waits_for_the_place_its_job_had(t: Transitions) -> None:
    """A job that is given back to the place it had holds its key from now on, not from then."""
    job = t.start("j", unique_key="u", unique_ttl_seconds=7200)
    t.end(job, SettleKind.RELEASE, due_ms=t.now_ms - 5000)
    assert left_ms(t) > HOUR_MS


def test_a_key_lasts_as_long_as_an_attempt_may(t: Transitions) -> None:
    """A claim makes the key last for the time the attempt may take."""
    t.start("j", job_timeout_seconds=7200, **SHORT)
    assert left_ms(t) > HOUR_MS


def test_a_key_is_taken_back_from_the_dead(t: Transitions) -> None:
    """A job that comes back from a dead orchestrator holds its key until it is due."""
    t.start("j", **SHORT)
    t.fence("a")
    t.recover("a", max_crashes=9, crash_delay_ms=HOUR_MS)
    t.register("b")
    t.claim("b")
    t.fence("b")
    t.recover("b", max_crashes=9, crash_delay_ms=HOUR_MS)
    assert t.due_ms("j") == t.now_ms + HOUR_MS
    assert left_ms(t) > HOUR_MS / 2


@pytest.mark.parametrize("ttl", [None, "soon", "-inf", "nan", "1e300"])
def test_a_record_may_name_no_ttl(t: Transitions, ttl: str | None) -> None:
    """Of a record that names none, or none that can be read, the key lasts six hours more."""
    job = t.start("j", **SHORT)
    if ttl is None:
        t.client.hdel(t.keyspace.job("j"), "job_unique_ttl_seconds")
    else:
        t.client.hset(t.keyspace.job("j"), "job_unique_ttl_seconds", ttl)
    t.end(job, SettleKind.RETRY)
    assert 5 * HOUR_MS < left_ms(t) <= 6 * HOUR_MS


def test_a_key_that_ran_out_is_taken_again(t: Transitions) -> None:
    """What claims a job, or puts it off, has it hold its key again where nobody else does."""
    t.register("a")
    t.add("j", **SHORT)
    lose(t)
    (job,) = t.claim().jobs
    assert holder(t) == "j"
    lose(t)
    t.end(job, SettleKind.RETRY)
    assert holder(t) == "j"


def test_a_key_of_another_is_left_to_it(t: Transitions) -> None:
    """A job whose key ran out and was taken goes on without it."""
    t.register("a")
    t.add("j", **SHORT)
    lose(t)
    t.add("k", defer_by=3600, **SHORT)
    (job,) = t.claim().jobs
    t.end(job, SettleKind.RETRY)
    assert t.repair(Repair(RepairKind.KEY, "j", t.evidence("j"))) == ["fine"]
    assert holder(t) == "k"
    assert left_ms(t) > HOUR_MS / 2


def test_the_key_of_a_job_that_waits_long_is_renewed(t: Transitions) -> None:
    """The reconciler's repair makes the key of a job that waits last; one that lasts long enough stays so."""
    t.add("j", unique_key="u", unique_ttl_seconds=3600)
    t.client.pexpire(t.keyspace.idempotency("u"), 60_000)
    renewal = Repair(RepairKind.KEY, "j", t.evidence("j"))
    assert t.repair(renewal) == ["fine"]
    assert left_ms(t) > HOUR_MS / 2
    t.client.pexpire(t.keyspace.idempotency("u"), 9 * HOUR_MS)
    assert t.repair(renewal) == ["fine"]
    assert left_ms(t) > 8 * HOUR_MS


def test_a_lost_key_is_repaired_once(t: Transitions) -> None:
    """The key of a job that is deferred is taken again, until it is due; of one that has ended it is not."""
    t.add("j", defer_by=3600, **SHORT)
    lose(t)
    wanted = Repair(RepairKind.KEY, "j", t.evidence("j"))
    assert t.repair(wanted) == ["repaired"]
    assert holder(t) == "j"
    assert left_ms(t) > HOUR_MS / 2
    assert t.repair(wanted) == ["fine"]
    t.cancel("j")
    assert t.repair(Repair(RepairKind.KEY, "j", t.evidence("j"))) == ["fine"]
    assert holder(t) is None


def test_a_key_of_another_type_is_left_alone(damaged: Transitions) -> None:
    """It is a person's to look at; the others of the call are served."""
    damaged.add("j", **SHORT)
    lose(damaged)
    damaged.client.rpush(damaged.keyspace.idempotency("u"), "x")
    damaged.add("k", unique_key="v")
    lose(damaged, "v")
    repairs = [Repair(RepairKind.KEY, each, damaged.evidence(each)) for each in ("j", "k")]
    assert damaged.repair(*repairs) == ["wrong_type", "repaired"]


@pytest.mark.parametrize("guard", [Guard("debounce", "doc", 60), Guard("reschedule")])
def test_a_call_may_move_the_job_that_holds_its_key(t: Transitions, guard: Guard) -> None:
    """The pending job that a call is to move may hold the key of the call: it takes payload and time."""
    first = Job("f", {"n": 1}, job_id="j", defer_by=60, **SHORT)
    assert [reply.kind for reply in t.enqueue(first, guard=guard)] == ["created"]
    own_id = "j" if guard.kind == "reschedule" else None
    (reply,) = t.enqueue(Job("f", {"n": 2}, job_id=own_id, defer_by=3600, **SHORT), guard=guard)
    assert (reply.kind, reply.job_id) == (EnqueueKind.UPDATED, "j")
    assert (t.record("j")["job_params"], t.due_ms("j")) == ('{"n":2}', t.now_ms + HOUR_MS)
    assert left_ms(t) > HOUR_MS / 2


@pytest.mark.parametrize("guard", [Guard("debounce", "doc", 60), Guard("reschedule")])
def test_a_moved_job_takes_the_key_of_the_call(t: Transitions, guard: Guard) -> None:
    """A key that comes later is taken by the pending job, instead of the one it had; none changes nothing."""
    t.enqueue(Job("f", job_id="j", defer_by=60), guard=guard)
    job_id = "j" if guard.kind == "reschedule" else None
    for key, held, free in (("u", "u", "v"), ("v", "v", "u"), (None, "v", "u")):
        (reply,) = t.enqueue(Job("f", job_id=job_id, defer_by=3600, unique_key=key), guard=guard)
        assert (reply.kind, reply.job_id) == (EnqueueKind.UPDATED, "j")
        assert (holder(t, held), holder(t, free)) == ("j", None)
        assert left_ms(t, held) > HOUR_MS / 2
        assert t.record("j")["job_unique_key"] == held
    t.cancel("j")
    assert holder(t, "v") is None


@pytest.mark.parametrize("guard", [Guard("debounce", "doc", 60), Guard("reschedule")])
def test_a_key_of_a_third_job_stops_the_call(t: Transitions, guard: Guard) -> None:
    """Where another job holds the key, the pending one is left as it was, and the call is told who does."""
    t.enqueue(Job("f", {"n": 1}, job_id="j", defer_by=60), guard=guard)
    t.add("third", unique_key="u")
    before = read_keys(t.client, t.keyspace)
    job_id = "j" if guard.kind == "reschedule" else None
    (reply,) = t.enqueue(Job("f", {"n": 2}, job_id=job_id, unique_key="u"), guard=guard)
    assert (reply.kind, reply.job_id) == (EnqueueKind.UNIQUE, "third")
    assert read_keys(t.client, t.keyspace) == before


def test_a_debounced_job_that_runs_keeps_its_key(t: Transitions) -> None:
    """Once the job has started, a call of the same keys gets its id, and no other job begins to gather."""
    guard = Guard("debounce", "doc", 60)
    t.enqueue(Job("f", {"n": 1}, job_id="j", **SHORT), guard=guard)
    t.register("a")
    (job,) = t.claim().jobs
    (reply,) = t.enqueue(Job("f", {"n": 2}, **SHORT), guard=guard)
    assert (reply.kind, reply.job_id) == (EnqueueKind.UNIQUE, "j")
    assert t.client.get(t.keyspace.debounce("doc")) == b"j"
    t.end(job, SettleKind.COMPLETE)
    (reply,) = t.enqueue(Job("f", {"n": 2}, job_id="k", **SHORT), guard=guard)
    assert (reply.kind, t.client.get(t.keyspace.debounce("doc"))) == (EnqueueKind.CREATED, b"k")
