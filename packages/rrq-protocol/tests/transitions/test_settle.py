"""Settling (T3 to T6, T9): each end of an attempt, guarded by owner and token, alone and in batches."""

from typing import Any

import msgspec
import pytest

from rrq_protocol import AttemptEntry, Job, transitions
from rrq_protocol.transitions import Charge, SettleKind, Settlement, SettleReply
from support.audit import read_keys
from support.transitions import NOON_MS, Transitions, ids

OK, ALREADY, STALE, GONE = SettleReply.OK, SettleReply.ALREADY, SettleReply.STALE, SettleReply.GONE


def test_complete_stores_the_result(t: Transitions) -> None:
    """A completed job has result, runner, time and TTL, and is nowhere any more (T3)."""
    job = t.start("j")
    t.now_ms += 1500
    assert t.end(job, SettleKind.COMPLETE, '{"sent":true}', run_ms=1400, runner="python") is OK
    record = t.record("j")
    assert (record["status"], record["result"]) == ("COMPLETED", '{"sent":true}')
    assert record["runner"] == "python"
    assert record["completion_time"] == "2026-01-01T12:00:01.500Z"
    assert t.client.ttl(t.keyspace.job("j")) == pytest.approx(3600, abs=5)
    assert t.held() == []
    assert t.counts() == {"enqueued": 1, "started": 1, "wait_ms": 0, "completed": 1, "run_ms": 1400}


def test_a_late_success_forgets_the_earlier_failure(t: Transitions) -> None:
    """The error of an earlier attempt does not stay on a job that succeeded; its log does."""
    t.end(t.start("j"), SettleKind.CRASH, "boom", attempts_log=b"[1]")
    (job,) = t.claim().jobs
    assert (job.crash_count, job.attempts_log) == (1, b"[1]")
    t.end(job, SettleKind.COMPLETE)
    assert "last_error" not in t.record("j")
    assert t.record("j")["attempts_log"] == "[1]"


def test_retry_waits_for_its_time(t: Transitions) -> None:
    """A failed attempt is counted, the job is due after the delay (T4)."""
    t.end(t.start("j"), SettleKind.RETRY, "oops", delay_ms=5000)
    record = t.record("j")
    assert (record["status"], record["last_error"], record["current_retries"]) == ("RETRYING", "oops", "1")
    assert record["next_scheduled_run_time"] == "2026-01-01T12:00:05.000Z"
    assert (t.due_ms("j"), t.held()) == (NOON_MS + 5000, [])
    assert t.client.ttl(t.keyspace.job("j")) == -1


@pytest.mark.parametrize("delay_ms", [-1, 1e308, float("inf"), float("nan"), 2**63])
def test_a_delay_is_bounded(t: Transitions, delay_ms: float) -> None:
    """No delay puts a job out of time (I11, U11)."""
    t.end(t.start("j"), SettleKind.RETRY, "oops", delay_ms=delay_ms)
    assert NOON_MS <= (t.due_ms("j") or 0.0) <= 7_258_118_400_000
    t.parsed("j")


def test_the_record_decides_when_attempts_are_spent(t: Transitions) -> None:
    """A retry beyond the record's budget dead-letters, whatever the caller believes (T4's guard, I10)."""
    t.register("a")
    t.add("j", max_retries=2)
    for status in ("RETRYING", "FAILED"):
        (job,) = t.claim().jobs
        assert t.end(job, SettleKind.RETRY, "oops") is OK
        assert t.record("j")["status"] == status
    assert (t.record("j")["current_retries"], t.dead(), t.queued()) == ("2", ["j"], [])


@pytest.mark.parametrize(
    ("charge", "retries", "crashes"),
    [(Charge.RETRY, "1", None), (Charge.CRASH, "0", "1"), (Charge.NONE, "0", None)],
)
def test_fail_moves_to_the_dlq(t: Transitions, charge: Charge, retries: str, crashes: str | None) -> None:
    """A failed job is in the DLQ named, remembers it, and is charged what is asked (T5)."""
    assert t.end(t.start("j"), SettleKind.FAIL, "fatal", charge=charge, dlq_name="dead") is OK
    record = t.record("j")
    assert (record["status"], record["last_error"], record["dlq_name"]) == ("FAILED", "fatal", "dead")
    assert (record["current_retries"], record.get("crash_count")) == (retries, crashes)
    assert (t.dead("dead"), t.client.smembers(t.keyspace.dlqs)) == (["j"], {b"dead"})


def test_release_charges_nothing_and_gives_the_place_back(t: Transitions) -> None:
    """A job that did not run waits again where it stood, before those that came later (T6)."""
    t.register("a")
    t.add("first")
    t.now_ms += 10
    t.add("second")
    (job, _) = t.claim().jobs
    assert t.end(job, SettleKind.RELEASE, due_ms=job.due_ms) is OK
    record = t.record("first")
    assert (record["status"], record["current_retries"], record.get("crash_count")) == ("PENDING", "0", None)
    assert t.due_ms("first") == job.due_ms
    t.end(t.claim().jobs[0], SettleKind.RELEASE, delay_ms=100)
    assert t.due_ms("first") == t.now_ms + 100


def test_the_latest_starts_given_back_are_kept(t: Transitions) -> None:
    """Eight at most, the oldest going first; texts in them are taken for nothing else (T6)."""
    t.register("a")
    t.add("j")
    for number in range(1, 21):
        (job,) = t.claim().jobs
        message = 'quoted ,{"attempt":1} ' + str(number)
        entry = msgspec.json.encode(
            AttemptEntry(number, "released", message, claim_seq=job.claim_seq)
        ).decode()
        assert t.end(job, SettleKind.RELEASE, entry, due_ms=job.due_ms) is OK
    assert [(each.attempt, each.message[-2:]) for each in t.parsed("j").releases] == [
        (number, str(number)) for number in range(13, 21)
    ]
    t.end(t.claim().jobs[0], SettleKind.RELEASE)
    assert len(t.parsed("j").releases) == 8
    t.client.hset(t.keyspace.job("j"), "releases_log", "no log")
    t.end(t.claim().jobs[0], SettleKind.RELEASE, '{"attempt":20,"outcome":"released","message":""}')
    assert [each.attempt for each in t.parsed("j").releases] == [20]
    t.end(t.claim().jobs[0], SettleKind.COMPLETE)
    assert len(t.parsed("j").releases) == 1
    assert t.parsed("j").attempts == ()


def test_a_crash_is_counted_apart(t: Transitions) -> None:
    """A crash of the runner raises crash_count only, and the job runs alone next."""
    t.end(t.start("j"), SettleKind.CRASH, "killed", delay_ms=1000)
    record = t.record("j")
    assert record["suspect"] == "1"
    assert (record["status"], record["current_retries"], record["crash_count"]) == ("PENDING", "0", "1")
    assert t.due_ms("j") == NOON_MS + 1000


@pytest.mark.parametrize(
    ("kind", "stays"),
    [
        (SettleKind.COMPLETE, False),
        (SettleKind.RETRY, False),
        (SettleKind.FAIL, False),
        (SettleKind.CANCEL, False),
        (SettleKind.RELEASE, True),
    ],
)
def test_a_suspect_is_charged_nothing_and_runs_alone_until_it_ends_in_peace(
    t: Transitions, kind: SettleKind, stays: bool
) -> None:
    """A job of several in a process that died comes back at once, marked; the mark goes with the next end
    that harmed no process (RELIABILITY.md 6.6)."""
    t.end(t.start("j"), SettleKind.SUSPECT, "killed with 2 in flight")
    record = t.record("j")
    assert (record["status"], record["current_retries"], record.get("crash_count")) == ("PENDING", "0", None)
    assert (record["suspect"], record["last_error"]) == ("1", "killed with 2 in flight")
    assert t.due_ms("j") == NOON_MS
    (again,) = t.claim().jobs
    assert again.suspect
    t.end(again, kind)
    assert ("suspect" in t.record("j")) is stays


def test_cancel_ends_the_job(t: Transitions) -> None:
    """A running job that was asked to end is CANCELLED, with its reason (T9)."""
    job = t.start("j")
    t.cancel("j")
    assert t.end(job, SettleKind.CANCEL, "cancelled") is OK
    assert (t.record("j")["status"], t.record("j")["last_error"]) == ("CANCELLED", "cancelled")


@pytest.mark.parametrize("kind", [SettleKind.RETRY, SettleKind.RELEASE, SettleKind.CRASH, SettleKind.SUSPECT])
@pytest.mark.parametrize("ttl_seconds", [0, 500])
def test_a_job_asked_to_end_gets_no_further_attempt(
    t: Transitions, kind: SettleKind, ttl_seconds: float
) -> None:
    """A request that the owner has not seen yet holds: the job ends when its attempt does."""
    job = t.start("j", unique_key="u")
    assert t.cancel("j") == "requested"
    assert t.end(job, kind, "oops", ttl_seconds=ttl_seconds) is OK
    assert (t.record("j")["status"], t.queued()) == ("CANCELLED", [])
    assert t.client.ttl(t.keyspace.job("j")) == pytest.approx(ttl_seconds or 86_400, abs=5)


@pytest.mark.parametrize("kind", list(SettleKind))
def test_settling_again_changes_nothing(t: Transitions, kind: SettleKind) -> None:
    """A repeat, also in the same batch, is answered "already" and nothing moves (I16, F46)."""
    job = t.start("j", unique_key="u")
    once = Settlement("j", job.claim_seq, kind, job.queue, "null", delay_ms=1000, ttl_seconds=60, run_ms=5)
    assert t.settle(once, once) == (OK, ALREADY)
    before = read_keys(t.client, t.keyspace)
    t.now_ms += 9
    assert t.settle(once) == (ALREADY,)
    assert read_keys(t.client, t.keyspace) == before


@pytest.mark.parametrize("kind", list(SettleKind))
def test_only_owner_and_token_may_settle(t: Transitions, kind: SettleKind) -> None:
    """Another orchestrator, an old token and a token of the future change nothing (I6, F28, U14, U15)."""
    job = t.start("j")
    t.end(job, SettleKind.RETRY)
    t.register("b")
    (current,) = t.claim("b").jobs
    before = read_keys(t.client, t.keyspace)
    for orchestrator, seq in (("a", 1), ("a", 2), ("b", 1), ("b", 3)):
        late = Settlement("j", seq, kind, "default", "null", ttl_seconds=60)
        assert t.settle(late, orchestrator=orchestrator) == (STALE,)
        assert read_keys(t.client, t.keyspace) == before
    assert t.end(current, SettleKind.COMPLETE, orchestrator="b") is OK


@pytest.mark.parametrize("kind", list(SettleKind))
def test_no_job_comes_back_from_nothing(t: Transitions, kind: SettleKind) -> None:
    """A job deleted while it ran stays deleted; its entry goes, the loss is counted once (I3, F90)."""
    job = t.start("j")
    t.client.delete(t.keyspace.job("j"))
    assert t.end(job, kind) is GONE
    assert t.end(job, kind) is GONE
    assert (t.client.exists(t.keyspace.job("j")), t.held(), t.counts()["lost"]) == (0, [], 1)


def test_each_record_of_a_batch_stands_alone(t: Transitions) -> None:
    """One call settles many attempts; those that are not ours any more do not disturb the others."""
    t.register("a")
    t.enqueue(*(Job("f", job_id=f"j{n}") for n in range(5)))
    jobs = t.claim().jobs
    t.client.delete(t.keyspace.job("j1"))
    t.end(jobs[2], SettleKind.RETRY)
    kinds = (SettleKind.COMPLETE, SettleKind.COMPLETE, SettleKind.RETRY, SettleKind.FAIL, SettleKind.RELEASE)
    batch = [
        Settlement(job.id, job.claim_seq, kind, "default", "null", ttl_seconds=60)
        for job, kind in zip(jobs, kinds, strict=True)
    ]
    batch.insert(3, Settlement("never-was", 1, SettleKind.COMPLETE, "default", "null"))
    assert t.settle(*batch) == (OK, GONE, ALREADY, GONE, OK, OK)
    assert (t.held(), t.dead()) == ([], ["j3"])


def test_a_large_batch_is_settled(t: Transitions) -> None:
    """More attempts than Lua can unpack at once are no problem."""
    t.register("a")
    t.enqueue(*(Job("f", job_id=f"j{n}") for n in range(9000)))
    batch = []
    while jobs := t.claim(wanted=500).jobs:
        batch += [
            Settlement(j.id, j.claim_seq, SettleKind.COMPLETE, "default", "1", ttl_seconds=60) for j in jobs
        ]
    assert set(t.settle(*batch)) == {OK}
    assert len(batch) == 9000
    assert t.counts()["completed"] == 9000


@pytest.mark.parametrize(
    ("ttl_seconds", "stored"),
    [
        (0, -1),
        (-5, -1),
        (float("nan"), -1),
        (0.2, 1),
        (86_400.0, 86_400),
        (1e300, 315_360_000),
        (float("inf"), 315_360_000),
    ],
)
def test_a_ttl_is_bounded(t: Transitions, ttl_seconds: float, stored: int) -> None:
    """0 keeps a record; what would overflow is ten years; nothing makes a batch fail (F89)."""
    assert t.end(t.start("j"), SettleKind.COMPLETE, ttl_seconds=ttl_seconds) is OK
    assert t.client.ttl(t.keyspace.job("j")) == pytest.approx(stored, abs=3)


def test_waiters_are_told(t: Transitions) -> None:
    """The end of a job is published; with job events its stream has one entry, which expires too."""
    with t.client.pubsub(ignore_subscribe_messages=False) as listener:
        listener.subscribe(t.keyspace.channel("j"))
        assert listener.get_message(timeout=5)["type"] == "subscribe"
        job = t.start("j")
        t.settle(
            Settlement("j", job.claim_seq, SettleKind.FAIL, "default", "oops", ttl_seconds=60),
            job_events=True,
        )
        assert listener.get_message(timeout=5)["data"] == b"FAILED"
    entries: Any = t.client.xrange(t.keyspace.events("j"))
    ((_, entry),) = entries
    assert (entry[b"status"], entry[b"error"], entry[b"job_id"]) == (b"FAILED", b"oops", b"j")
    assert t.client.ttl(t.keyspace.events("j")) == pytest.approx(60, abs=5)
    assert t.audit(job_events=True) == ()


@pytest.mark.parametrize(("retries", "allowed", "spent"), [(3, 3, "3"), (0, 0, "0"), (2, 3, "3")])
@pytest.mark.parametrize("kind", [SettleKind.FAIL, SettleKind.RETRY])
def test_no_more_is_spent_than_allowed(
    t: Transitions, retries: int, allowed: int, spent: str, kind: SettleKind
) -> None:
    """A record that a stranger wrote so runs once; its failure is charged as far as there is room (I10)."""
    t.register("a")
    t.add("j")
    t.client.hset(t.keyspace.job("j"), mapping={"current_retries": retries, "max_retries": allowed})
    (job,) = t.claim().jobs
    assert t.end(job, kind, "oops", charge=Charge.RETRY) is OK
    record = t.record("j")
    assert (record["status"], record["current_retries"]) == ("FAILED", spent)


def test_upstream_locks_go_with_the_lease(t: Transitions) -> None:
    """In compatibility mode our own lock is released, that of anybody else is not."""
    t.register("a")
    t.enqueue(Job("f", job_id="mine"), Job("f", job_id="theirs"))
    jobs = t.claim(lock_extension_seconds=60).jobs
    t.client.set(t.keyspace.lock_job("theirs"), "upstream")
    batch = [Settlement(j.id, j.claim_seq, SettleKind.COMPLETE, "default", "1") for j in jobs]
    t.settle(*batch, compat_job_locks=True)
    assert t.client.exists(t.keyspace.lock_job("mine")) == 0
    assert t.client.get(t.keyspace.lock_job("theirs")) == b"upstream"


def test_a_lock_goes_with_its_attempt_whatever_became_of_the_record(damaged: Transitions) -> None:
    """One that was deleted, made anew, or is none: the next job of that id is not held up by it."""
    t = damaged
    t.register("a")
    names = ("deleted", "anew", "strange")
    t.enqueue(*(Job("f", job_id=name) for name in names))
    jobs = t.claim(lock_extension_seconds=60).jobs
    for name in names:
        t.client.delete(t.keyspace.job(name))
    t.add("anew")
    t.client.set(t.keyspace.job("strange"), "x")
    batch = [Settlement(j.id, j.claim_seq, SettleKind.COMPLETE, "default", "1") for j in jobs]
    assert {r.value for r in t.settle(*batch, compat_job_locks=True)} == {"gone", "stale", "wrong_type"}
    assert [name for name in names if t.client.exists(t.keyspace.lock_job(name))] == []
    assert ids(t.claim().jobs) == ["anew"]


def test_unknown_fields_stay(t: Transitions) -> None:
    """Fields of other versions and tools survive every transition (F98)."""
    t.register("a")
    t.add("j")
    t.client.hset(t.keyspace.job("j"), "x_note", "kept")
    for kind in (SettleKind.RELEASE, SettleKind.CRASH, SettleKind.RETRY, SettleKind.FAIL):
        t.end(t.claim().jobs[0], kind)
    t.requeue("j")
    t.end(t.claim().jobs[0], SettleKind.COMPLETE)
    assert t.record("j")["x_note"] == "kept"


def test_an_unknown_kind_writes_nothing(t: Transitions) -> None:
    """A caller's mistake is an error before the first write, for the whole batch."""
    job = t.start("j")
    good = Settlement("j", job.claim_seq, SettleKind.COMPLETE, "default", "1")
    call = transitions.settle(t.keyspace, "a", [good, good])
    args = (*call.args[:18], "finish", *call.args[19:])
    with pytest.raises(Exception, match="unknown kind finish"):
        t.client.eval(*call.eval_args()[1:3], *call.keys, *args)
    assert t.held() == ["j"]


@pytest.mark.parametrize("kept", [True, False])
def test_a_record_made_anew_takes_no_end_of_the_one_before(damaged: Transitions, kept: bool) -> None:
    """Deleted by hand under its attempt, and the same id enqueued and claimed again: while the active set
    tells of the first attempt, the second gets another number; without it, the moment of the claim differs.
    A repeat is known as one all the same.
    """
    t = damaged
    first = t.start()
    t.client.delete(t.keyspace.job("j"), *([] if kept else [t.keyspace.active("a")]))
    t.now_ms += 1
    second = t.start()
    assert (first.claim_seq == second.claim_seq) is not kept
    assert t.end(first, SettleKind.COMPLETE, "1") is STALE
    assert t.record("j")["status"] == "ACTIVE"
    assert t.held() == ["j"]
    assert t.end(second, SettleKind.COMPLETE, "2") is OK
    assert t.end(second, SettleKind.COMPLETE, "2") is ALREADY
    assert t.record("j")["result"] == "2"


def test_numbers_go_on_from_where_they_began_anew(damaged: Transitions) -> None:
    """Its neighbours in the same claim count as ever, and each further claim has the next number."""
    t = damaged
    t.start("again")
    t.client.delete(t.keyspace.job("again"))
    for name in ("before", "again", "behind"):
        t.add(name)
    jobs = {job.id: job for job in t.claim().jobs}
    numbers = {name: int(t.record(name)["claim_seq"]) for name in jobs}
    assert {name: job.claim_seq for name, job in jobs.items()} == numbers
    t.end(jobs["again"], SettleKind.RETRY)
    (job,) = t.claim().jobs
    assert job.claim_seq == numbers["again"] + 1 > 1_000_000
    assert len(str(job.claim_seq)) <= 15
