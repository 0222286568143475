"""Leases: beats, fencing against late beats, recovery of what a dead orchestrator held (T7, T8, T9)."""

import msgspec
import pytest

from rrq_protocol import Job, transitions
from rrq_protocol.transitions import Beat, Lease, Recovered, Registered, SettleKind, SettleReply
from support.audit import read_keys
from support.transitions import NOON_MS, Transitions, ids

LEASE = Lease("a", 10_000, b'{"host":"h"}', 20_000)


def beat(t: Transitions) -> Beat:
    """Renew the lease of ``a``."""
    return t.run(transitions.heartbeat(t.keyspace, LEASE, now_ms=t.now_ms))


def test_a_beat_renews_lease_and_report(t: Transitions) -> None:
    """Registering and beating write a lease value that reads as its end, and the report with its TTL."""
    assert t.run(transitions.register(t.keyspace, LEASE, now_ms=t.now_ms)).now_ms == NOON_MS
    assert t.client.zscore(t.keyspace.workers, "a") == NOON_MS + 10_000
    t.now_ms += 2000
    t.client.delete(t.keyspace.health("a"))
    assert beat(t) == Beat(False, NOON_MS + 2000)
    assert t.client.zscore(t.keyspace.workers, "a") == NOON_MS + 12_000
    assert t.client.get(t.keyspace.health("a")) == b'{"host":"h"}'
    assert t.client.pttl(t.keyspace.health("a")) == pytest.approx(20_000, abs=3000)


def test_a_beat_without_a_report_leaves_the_one_that_stands(t: Transitions) -> None:
    """It renews the lease alone: neither the report nor its end of life changes, and none is made."""
    t.run(transitions.register(t.keyspace, LEASE, now_ms=t.now_ms))
    t.client.persist(t.keyspace.health("a"))
    t.now_ms += 2000
    silent = msgspec.structs.replace(LEASE, report=b"")
    assert t.run(transitions.heartbeat(t.keyspace, silent, now_ms=t.now_ms)) == Beat(False, t.now_ms)
    assert t.client.zscore(t.keyspace.workers, "a") == t.now_ms + 10_000
    assert t.client.get(t.keyspace.health("a")) == b'{"host":"h"}'
    assert t.client.ttl(t.keyspace.health("a")) == -1
    t.client.delete(t.keyspace.health("a"))
    t.run(transitions.heartbeat(t.keyspace, silent, now_ms=t.now_ms))
    assert t.client.exists(t.keyspace.health("a")) == 0


def test_a_beat_goes_by_the_clock_of_the_server(t: Transitions) -> None:
    """Told no time, the beat asks the server, to the millisecond, and answers what it saw."""
    t.register("a")
    seconds, micros = t.client.time()
    renewed = t.run(transitions.heartbeat(t.keyspace, LEASE))
    assert not renewed.fenced
    assert renewed.now_ms >= seconds * 1000 + micros // 1000
    seconds, micros = t.client.time()
    assert renewed.now_ms <= seconds * 1000 + micros // 1000
    assert t.client.zscore(t.keyspace.workers, "a") == renewed.now_ms + 10_000


@pytest.mark.parametrize("step_ms", [0, -3_600_000])
def test_every_beat_shows_life(t: Transitions, step_ms: int) -> None:
    """The value changes with each beat and never goes back, even when the server's clock does (F47)."""
    t.register("a")
    values = []
    for _ in range(3):
        t.now_ms += step_ms
        beat(t)
        values.append(t.client.zscore(t.keyspace.workers, "a") or 0.0)
    assert values == [NOON_MS + 10_000 + n for n in (1, 2, 3)]


def test_fence_and_beat_decide_by_order(t: Transitions) -> None:
    """A beat before the fence saves the lease; one after it revives nothing."""
    t.register("a")
    observed = t.client.zscore(t.keyspace.workers, "a") or 0.0
    beat(t)
    assert not t.run(transitions.fence(t.keyspace, "a", observed, now_ms=t.now_ms))
    assert t.fence("a")
    before = read_keys(t.client, t.keyspace)
    assert beat(t).fenced
    assert not t.run(transitions.fence(t.keyspace, "a", observed, now_ms=t.now_ms))
    assert read_keys(t.client, t.keyspace) == before
    assert t.client.zscore(t.keyspace.reaping, "a") == NOON_MS


def test_a_lease_value_of_any_form_can_be_fenced(t: Transitions) -> None:
    """Values with fractions, as another version might write them, compare exactly."""
    t.client.zadd(t.keyspace.workers, {"a": NOON_MS + 0.125, "b": 1e300})
    assert t.fence("a")
    assert t.fence("b")


def test_a_registration_learns_of_the_key_space(t: Transitions) -> None:
    """Who registered first since it is there, and how many have; both begin anew when it is lost (F27). The
    same call again is no further registration (I16).
    """

    def registered(name: str) -> Registered:
        lease = msgspec.structs.replace(LEASE, orchestrator_id=name)
        return t.run(transitions.register(t.keyspace, lease, now_ms=t.now_ms))

    assert registered("a") == Registered(NOON_MS, "a", 1)
    t.run(transitions.deregister(t.keyspace, "a", now_ms=t.now_ms))
    for _ in range(2):
        assert registered("b") == Registered(NOON_MS, "a", 2)
    t.client.delete(*read_keys(t.client, t.keyspace))
    assert registered("c") == Registered(NOON_MS, "c", 1)


@pytest.mark.parametrize("how", ["text", "no number"])
def test_a_strange_key_costs_nobody_a_registration(damaged: Transitions, how: str) -> None:
    """What it says is unknown then, and it is left as it is."""
    key = damaged.keyspace.epoch
    if how == "text":
        damaged.client.set(key, "theirs")
    else:
        damaged.client.hset(key, "registrations", "many")
    call = transitions.register(damaged.keyspace, LEASE, now_ms=damaged.now_ms)
    assert damaged.run(call) == Registered(NOON_MS, "", 0)
    assert damaged.client.zscore(damaged.keyspace.workers, "a") == NOON_MS + 10_000
    damaged.client.delete(key)


def test_a_clean_stop_leaves_nothing(t: Transitions) -> None:
    """An orchestrator without jobs is off the list at once; repeating the call is harmless. What stays
    tells of the key space itself.
    """
    t.register("a")
    t.client.rpush(t.keyspace.control("a"), "drain")
    for _ in range(2):
        assert t.run(transitions.deregister(t.keyspace, "a", now_ms=t.now_ms)) == 0
        assert list(read_keys(t.client, t.keyspace)) == [t.keyspace.epoch]


@pytest.mark.parametrize("listed", [True, False])
def test_jobs_held_at_a_stop_go_to_the_janitors(t: Transitions, listed: bool) -> None:
    """Whoever leaves with jobs is reaped at once, even if its row was lost before (I7)."""
    t.start("j")
    if not listed:
        t.client.zrem(t.keyspace.workers, "a")
    for _ in range(2):
        assert t.run(transitions.deregister(t.keyspace, "a", now_ms=t.now_ms)) == 1
    assert t.recover("a") == Recovered(1, 0, 0, 0, 0)


def test_nothing_is_taken_from_the_living(t: Transitions) -> None:
    """Only a fenced orchestrator loses its jobs, also when it stands in both lists."""
    t.start("j")
    assert t.recover("a") == Recovered(0, 0, 0, 0, 0)
    t.client.zadd(t.keyspace.reaping, {"a": 1})
    assert t.recover("a") == Recovered(0, 0, 0, 0, 0)
    assert t.held() == ["j"]
    t.client.zrem(t.keyspace.reaping, "a")


def test_jobs_of_the_dead_run_again_at_once(t: Transitions) -> None:
    """After a first crash the job is due now, the crash is counted, the late owner is stale (T7)."""
    job = t.start("j", unique_key="u")
    t.fence("a")
    t.now_ms += 100
    assert t.recover("a") == Recovered(1, 0, 0, 0, 0)
    record = t.record("j")
    assert (record["status"], record["crash_count"], record["current_retries"]) == ("PENDING", "1", "0")
    assert "worker_id" not in record
    assert t.due_ms("j") == t.now_ms
    assert t.client.exists(t.keyspace.reaping, t.keyspace.health("a"), t.keyspace.active("a")) == 0
    before = read_keys(t.client, t.keyspace)
    for kind in SettleKind:
        assert t.end(job, kind) is SettleReply.STALE
    assert read_keys(t.client, t.keyspace) == before
    t.register("b")
    (again,) = t.claim("b").jobs
    assert again.claim_seq == job.claim_seq + 1
    assert t.client.get(t.keyspace.idempotency("u")) == b"j"


def test_crashes_are_spaced_and_then_end_it(t: Transitions) -> None:
    """The second crash waits, each further one twice as long; the last one dead-letters (T8)."""
    t.add("j", unique_key="u")
    delays = []
    for number in range(5):
        name = f"o{number}"
        t.register(name)
        assert ids(t.claim(name).jobs) == ["j"]
        t.fence(name)
        t.recover(name, max_crashes=5, crash_delay_ms=1000, dlq_name="dead", failed_ttl_seconds=60)
        delays.append((t.due_ms("j") or 0) - t.now_ms)
        t.now_ms += 100_000
    assert delays[:4] == [0, 1000, 2000, 4000]
    record = t.record("j")
    assert (record["status"], record["crash_count"], t.dead("dead")) == ("FAILED", "5", ["j"])
    assert record["last_error"] == "orchestrator crashed 5 times while running this job"
    assert t.client.ttl(t.keyspace.job("j")) == pytest.approx(60, abs=5)
    assert t.client.exists(t.keyspace.idempotency("u")) == 0
    t.client.delete(t.keyspace.job("j"), t.keyspace.dlq("dead"), t.keyspace.stats("default"))


@pytest.mark.parametrize("crash_count", ["1e300", "nan", "x", "-7", "9" * 40])
def test_an_odd_crash_count_cannot_break_recovery(damaged: Transitions, crash_count: str) -> None:
    """Whatever the field holds, the job is taken back or dead-lettered, and its neighbours too (U21)."""
    damaged.register("a")
    damaged.enqueue(*(Job("f", job_id=name) for name in ("bad", "good")))
    damaged.claim()
    damaged.client.hset(damaged.keyspace.job("bad"), "crash_count", crash_count)
    damaged.fence("a")
    assert damaged.recover("a").left == 0
    assert damaged.record("good")["status"] == "PENDING"
    assert damaged.record("bad")["status"] in {"PENDING", "FAILED"}
    assert (damaged.due_ms("bad") or 0) < 7_258_118_400_001


def test_a_cancelled_job_of_the_dead_is_cancelled(t: Transitions) -> None:
    """A request the owner could not answer any more is carried out by the janitor (T9)."""
    t.start("j", unique_key="u")
    t.cancel("j")
    t.fence("a")
    assert t.recover("a", job_events=True) == Recovered(0, 0, 1, 0, 0)
    assert t.record("j")["status"] == "CANCELLED"
    assert t.audit(job_events=True) == ()


def test_recovery_goes_on_where_another_stopped(t: Transitions) -> None:
    """A bounded number per call, until nothing is left, by whichever janitor (6.6)."""
    t.register("a")
    t.enqueue(*(Job("f", job_id=f"j{n}") for n in range(5)))
    t.claim()
    t.fence("a")
    assert [t.recover("a", limit=2).left for _ in range(3)] == [3, 1, 0]
    assert t.recover("a") == Recovered(0, 0, 0, 0, 0)
    assert sorted(t.queued()) == [f"j{n}" for n in range(5)]


def test_entries_of_others_are_dropped_not_taken(damaged: Transitions) -> None:
    """An entry whose job is gone, has ended, or belongs to somebody else is removed and nothing more."""
    t = damaged
    t.start("theirs", orchestrator="b")
    t.end(t.start("over"), SettleKind.COMPLETE)
    t.start("mine")
    t.client.zadd(t.keyspace.active("a"), {"theirs": 1, "over": 1, "gone": 1})
    t.fence("a")
    assert t.recover("a") == Recovered(1, 0, 0, 3, 0)
    assert (t.record("theirs")["worker_id"], t.held("b"), t.record("over")["status"]) == (
        "b",
        ["theirs"],
        "COMPLETED",
    )
    assert t.audit(conserved=False) == ()


def test_a_lock_of_the_dead_goes_too(t: Transitions) -> None:
    """In compatibility mode the dead one's lock would hold the job up; that of another claim stays."""
    t.register("a")
    t.enqueue(Job("f", job_id="mine"), Job("f", job_id="other"))
    t.claim(lock_extension_seconds=60)
    t.client.set(t.keyspace.lock_job("other"), "upstream")
    t.fence("a")
    t.recover("a")
    assert t.client.exists(t.keyspace.lock_job("mine")) == 0
    assert t.client.get(t.keyspace.lock_job("other")) == b"upstream"


def test_a_lock_of_the_dead_goes_without_its_record_too(t: Transitions) -> None:
    """Else it holds up the next job of that id; that of an orchestrator whose id begins alike stays."""
    t.register("a")
    t.enqueue(Job("f", job_id="deleted"), Job("f", job_id="other"))
    t.claim(lock_extension_seconds=60)
    t.client.set(t.keyspace.lock_job("other"), "a1")
    for name in ("deleted", "other"):
        t.client.delete(t.keyspace.job(name))
    t.fence("a")
    t.recover("a")
    assert t.client.exists(t.keyspace.lock_job("deleted")) == 0
    assert t.client.get(t.keyspace.lock_job("other")) == b"a1"


def test_a_lock_of_a_dead_one_of_the_public_line_goes_too(t: Transitions) -> None:
    """Its value is the id alone; left there it would hold the job up for its timeout and a minute (F97)."""
    t.register("a")
    t.enqueue(Job("f", job_id="j"))
    t.claim()
    t.client.set(t.keyspace.lock_job("j"), "a")
    t.fence("a")
    t.recover("a")
    assert t.client.exists(t.keyspace.lock_job("j")) == 0


def test_a_job_without_a_queue_goes_to_the_default_one(t: Transitions) -> None:
    """A queue name that leads elsewhere is replaced, and the record says so (I1)."""
    t.start("j")
    t.client.hset(t.keyspace.job("j"), "queue_name", "else:where")
    t.fence("a")
    t.recover("a")
    assert t.queued() == ["j"]
    assert t.record("j")["queue_name"] == t.keyspace.queue("default")
