"""Claiming (T2, T2q): who gets which job, what is cleared away, what is left for others."""

from typing import Any

import msgspec
import pytest

from rrq_protocol import Job, transitions
from rrq_protocol.transitions import ClaimRequest, SettleKind
from support.transitions import NOON_MS, Transitions, ids


def foreign(t: Transitions, job_id: str, due_ms: float = NOON_MS, /, **changes: str | bytes | None) -> None:
    """Store a job as the public line's producer writes it, with some fields changed or (None) left out."""
    fields: dict[str, Any] = {
        "id": job_id,
        "function_name": "f",
        "job_params": "{}",
        "enqueue_time": "2026-01-01T11:59:59.123456789+00:00",
        "status": "PENDING",
        "current_retries": "0",
        "max_retries": "3",
        "job_timeout_seconds": "60",
        "result_ttl_seconds": "3600",
        "queue_name": t.keyspace.queue("default"),
    }
    fields.update(changes)
    stored = {name: value for name, value in fields.items() if value is not None}
    t.client.hset(t.keyspace.job(job_id), mapping=stored)
    t.client.zadd(t.keyspace.queue("default"), {job_id: due_ms})
    t.client.hincrby(t.keyspace.stats("default"), "enqueued", 1)


def test_a_claimed_job_brings_all_that_dispatch_needs(t: Transitions) -> None:
    """The reply carries the record; the job is active, has a new token, and is out of its queue."""
    t.register("a")
    t.add(
        "j", params={"n": 1}, max_retries=2, job_timeout_seconds=1.5, trace_context={"k": "v"},
        correlation_context={"order": "7"}
    )  # fmt: skip
    t.now_ms += 250
    claim = t.claim()
    (job,) = claim.jobs
    assert (claim.fenced, claim.now_ms, claim.malformed) == (False, NOON_MS + 250, ())
    assert bytes(job.params) == b'{"n":1}'
    assert job.trace_context is not None
    assert msgspec.json.decode(job.trace_context) == {"k": "v"}
    assert job.correlation_context == {"order": "7"}
    assert (job.id, job.queue, job.due_ms, job.claim_seq, job.function_name) == (
        "j",
        "default",
        NOON_MS,
        1,
        "f",
    )
    assert (job.current_retries, job.max_retries, job.timeout_seconds, job.crash_count) == (0, 2, 1.5, 0)
    record = t.record("j")
    assert (record["status"], record["worker_id"], record["claim_seq"]) == ("ACTIVE", "a", "1")
    assert record["start_time"] == "2026-01-01T12:00:00.250Z"
    assert (t.queued(), t.held("a")) == ([], ["j"])
    assert t.counts() == {"enqueued": 1, "started": 1, "wait_ms": 250}


def test_only_a_living_orchestrator_claims(t: Transitions) -> None:
    """One that never registered, or was declared dead, gets nothing and leaves the queue alone."""
    t.add("j")
    assert t.claim("a").fenced
    t.register("a")
    t.fence("a")
    assert t.claim("a").fenced
    assert t.queued() == ["j"]


def test_jobs_come_in_the_order_they_are_due(t: Transitions) -> None:
    """Only what is due is claimed, oldest first, as many as asked; the reply tells when the next is due."""
    t.register("a")
    for name, seconds in (("late", 60), ("second", 2), ("first", 1), ("third", 3)):
        t.add(name, defer_by=seconds)
    assert t.claim().queues == (transitions.QueueReply(0, 0, NOON_MS + 1000, ""),)
    t.now_ms += 3000
    assert ids(t.claim(wanted=2).jobs) == ["first", "second"]
    claim = t.claim()
    assert ids(claim.jobs) == ["third"]
    assert claim.queues == (transitions.QueueReply(1, 0, NOON_MS + 60_000, ""),)


def test_several_queues_are_served_in_one_call(t: Transitions) -> None:
    """Each queue gives what was asked of it, and says so in the order asked; a paused one gives nothing."""
    t.register("a")
    for queue in ("x", "y", "z"):
        t.enqueue(*(Job("f", job_id=f"{queue}{n}", queue_name=queue) for n in range(3)))
    t.client.sadd(t.keyspace.paused, "y")
    asked = (("z", 1), ("y", 3), ("x", 2), ("z", 1))
    requests = [ClaimRequest(queue, "python", wanted) for queue, wanted in asked]
    claim = t.run(transitions.claim(t.keyspace, "a", requests, {}, now_ms=t.now_ms))
    assert ids(claim.jobs) == ["z0", "x0", "x1", "z1"]
    assert [queue.claimed for queue in claim.queues] == [1, 0, 2, 1]
    assert t.queued("y") == ["y0", "y1", "y2"]


def test_no_runner_gets_more_than_it_has_room_for(t: Transitions) -> None:
    """Jobs of a full runner stay, those behind them are found; unnamed runners have no limit here."""
    t.register("a")
    t.enqueue(
        *(Job(f"slow#s{n}", job_id=f"s{n}") for n in range(30)), *(Job("f", job_id=f"f{n}") for n in range(3))
    )
    t.enqueue(Job("other#o", job_id="o"))
    claim = t.claim(wanted=10, free={"python": 2, "slow": 1})
    assert ids(claim.jobs) == ["s0", "f0", "f1", "o"]
    assert claim.queues[0].skipped == 30
    assert claim.queues[0].resume == ""


def test_a_long_row_of_full_runners_hides_nothing(t: Transitions) -> None:
    """Each call looks a bounded way ahead and says where to go on; equal due times hide nothing."""
    t.register("a")
    for n in range(400):
        foreign(t, f"s{n:03}", NOON_MS - 10, function_name="slow#s")
    foreign(t, "behind", NOON_MS - 5)
    after, calls, found = "", 0, list[str]()
    while not found and calls < 10:
        claim = t.claim(wanted=1, free={"python": 1, "slow": 0}, after=after)
        found, after, calls = ids(claim.jobs), claim.queues[0].resume, calls + 1
        assert bool(after) != bool(found)
    assert found == ["behind"]
    assert calls == 7
    assert t.claim(wanted=1, free={"slow": 0}, after=f"{NOON_MS - 10} 400").queues[0].skipped == 0


def test_the_reply_is_bounded(t: Transitions) -> None:
    """Big payloads end a batch early; the rest is there for the next call, and somebody is woken for it."""
    t.register("a")
    t.defaults = transitions.EnqueueDefaults(max_payload_bytes=8 * 1024 * 1024)
    for n in range(3):
        t.add(f"j{n}", params={"x": "y" * 5_000_000})
    t.client.delete(t.keyspace.wake("default"))
    assert ids(t.claim().jobs) == ["j0", "j1"]
    assert t.client.llen(t.keyspace.wake("default")) == 1
    assert ids(t.claim().jobs) == ["j2"]
    assert t.client.llen(t.keyspace.wake("default")) == 0


@pytest.mark.parametrize("status", ["COMPLETED", "CANCELLED", "FAILED", "ACTIVE"])
def test_what_does_not_wait_is_not_run(damaged: Transitions, status: str) -> None:
    """An id whose job has ended, or runs elsewhere, leaves the queue and nothing else happens (U12)."""
    damaged.register("a")
    foreign(damaged, "j", status=status)
    foreign(damaged, "good", NOON_MS)
    before = damaged.record("j")
    assert ids(damaged.claim().jobs) == ["good"]
    assert (damaged.queued(), damaged.record("j")) == ([], before)


def test_an_id_without_a_job_is_pruned(t: Transitions) -> None:
    """A job deleted while it waited leaves no ghost, and is counted as lost (F90, I3)."""
    t.register("a")
    t.add("gone")
    t.add("good")
    t.client.delete(t.keyspace.job("gone"))
    assert ids(t.claim().jobs) == ["good"]
    assert t.client.exists(t.keyspace.job("gone")) == 0
    assert t.counts()["lost"] == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": None}, "malformed: status"),
        ({"status": "WAITING"}, "malformed: status"),
        ({"function_name": None}, "malformed: function_name"),
        ({"claim_seq": "-1"}, "malformed: claim_seq"),
        ({"claim_seq": "9" * 20}, "malformed: claim_seq"),
        ({"claim_seq": "9" * 15}, "malformed: claim_seq"),
        ({"claim_seq": "1e3"}, "malformed: claim_seq"),
        ({"id": None}, "malformed: id"),
        ({"id": "another"}, "malformed: id"),
        ({"queue_name": "other\x1b[2J"}, "malformed: queue_name"),
    ],
)
def test_a_record_that_cannot_be_leased_is_failed(
    t: Transitions, changes: dict[str, Any], reason: str
) -> None:
    """It is dead-lettered with the reason, its fields stay, its unique key is free (F83)."""
    t.register("a")
    foreign(t, "j", job_unique_key="u", note="kept", **changes)
    t.client.set(t.keyspace.idempotency("u"), "j")
    assert t.claim(job_events=True).jobs == ()
    record = t.record("j")
    assert (record["status"], record["last_error"], record["note"]) == ("FAILED", reason, "kept")
    assert t.dead() == ["j"]
    assert t.client.ttl(t.keyspace.job("j")) == pytest.approx(604_800, abs=5)
    assert t.audit(job_events=True) == ()


@pytest.mark.parametrize("job_id", ["a b", "x" * 129, "é", "a\nb", "*", "../x\x00"])
def test_an_id_that_is_none_is_never_run(t: Transitions, job_id: str) -> None:
    """Ids no producer of ours would accept are failed in the script, as bytes (F85)."""
    t.register("a")
    foreign(t, job_id)
    assert t.claim().jobs == ()
    assert t.record(job_id)["last_error"] == "malformed: id"


BAD_FIELDS = [
    ("function_name", " "), ("function_name", "a b#f"), ("function_name", b"\xff"), ("job_params", None),
    ("job_params", "[1]"), ("job_params", '{"a":'), ("job_params", b'{"a":"\xff"}'),
    ("job_params", '{"a":1e999}'), ("job_params", "[" * 200),
    ("enqueue_time", None), ("enqueue_time", "yesterday"), ("enqueue_time", "2026-01-01T00:00:00"),
    ("current_retries", None), ("current_retries", ""), ("current_retries", "-1"), ("current_retries", "1e3"),
    ("current_retries", "4"), ("max_retries", None), ("max_retries", "many"), ("max_retries", "9" * 30),
    ("job_timeout_seconds", None), ("job_timeout_seconds", ""), ("job_timeout_seconds", "0"),
    ("job_timeout_seconds", "-1"), ("job_timeout_seconds", "abc"),
    ("job_timeout_seconds", "inf"), ("job_timeout_seconds", "nan"), ("result_ttl_seconds", "-1"),
    ("crash_count", "x"), ("trace_context", "[]"), ("correlation_context", '{"a":1}'), ("dlq_name", "a:b"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), BAD_FIELDS)
def test_an_unreadable_field_is_never_guessed(t: Transitions, field: str, value: Any) -> None:
    """A leased record with a bad field comes back as malformed, naming the field (F83, U9)."""
    t.register("a")
    foreign(t, "j", **{field: value})
    claim = t.claim()
    assert claim.jobs == ()
    (bad,) = claim.malformed
    assert bad.reason.startswith(f"malformed: {field}: ")
    settled = transitions.Settlement(bad.id, bad.claim_seq, SettleKind.FAIL, bad.queue, bad.reason)
    assert t.settle(settled) == (transitions.SettleReply.OK,)
    assert t.record("j")["last_error"] == bad.reason


@pytest.mark.parametrize(
    ("field", "value", "attribute", "read"),
    [
        ("job_timeout_seconds", "9223372036854775807", "timeout_seconds", 365 * 86_400),
        ("job_timeout_seconds", "1e308", "timeout_seconds", 365 * 86_400),
        ("max_retries", "0", "max_retries", 0),
        ("current_retries", "3", "current_retries", 3),
        ("result_ttl_seconds", None, "result_ttl_seconds", None),
        ("queue_name", None, "queue", "default"),
        ("result_ttl_seconds", "1e300", "result_ttl_seconds", 1e300),
        ("dlq_name", "", "dlq_name", None),
    ],
)
def test_odd_but_readable_fields_run(
    t: Transitions, field: str, value: Any, attribute: str, read: Any
) -> None:
    """A huge timeout is taken for the longest one, an empty optional field for none (F84)."""
    t.register("a")
    foreign(t, "j", **{field: value})
    (job,) = t.claim(lock_extension_seconds=60).jobs
    assert getattr(job, attribute) == read


def test_a_unique_key_that_no_tool_can_show_is_malformed(t: Transitions) -> None:
    """Control characters in a unique key fail the record, and the key is free again (F83)."""
    t.register("a")
    foreign(t, "j", job_unique_key="a\nb")
    t.client.set(t.keyspace.idempotency("a\nb"), "j")
    assert t.claim().jobs == ()
    assert t.record("j")["last_error"] == "malformed: job_unique_key"
    assert t.client.exists(t.keyspace.idempotency("a\nb")) == 0


def test_a_payload_over_the_limit_is_not_run(t: Transitions) -> None:
    """What no producer of ours could have sent comes back as malformed, with its size (F86)."""
    t.register("a")
    foreign(t, "fits", job_params='{"a":"123456"}')
    foreign(t, "larger", job_params='{"a":"1234567"}')
    claim = t.claim(max_payload_bytes=14)
    assert ids(claim.jobs) == ["fits"]
    (bad,) = claim.malformed
    assert (bad.id, bad.reason) == (
        "larger",
        "malformed: job_params: 15 bytes, the limit is 14 (max_payload_bytes)",
    )


@pytest.mark.parametrize(
    "changes",
    [
        *({field: value} for field, value in BAD_FIELDS),
        *({"id": each} for each in (None, "another")),
        *({"claim_seq": each} for each in ("", "-1", "1e3", "9" * 20, "9" * 15)),
        {"queue_name": "other\x1b[2J"}, {"job_unique_key": "a\nb"}, {"function_name": None},
        {}, {"queue_name": "other"}, {"queue_name": None}, {"result_ttl_seconds": None},
        {"max_retries": "0"},
    ],
)  # fmt: skip
def test_a_problem_is_told_before_the_claim(damaged: Transitions, changes: dict[str, Any]) -> None:
    """What waits can be judged without claiming it: the same field is named, or none (F83)."""
    damaged.register("a")
    foreign(damaged, "j", **changes)
    stored: Any = damaged.client.hgetall(damaged.keyspace.job("j"))
    told = transitions.problem_of(
        damaged.keyspace, b"j", {name.decode(): value for name, value in stored.items()}
    )
    claim = damaged.claim()
    reasons = [each.reason for each in claim.malformed] or [damaged.record("j").get("last_error", "")]
    assert (told is None) == (ids(claim.jobs) == ["j"])
    assert reasons[0].partition(": ")[2].partition(":")[0] == (told or "").partition(":")[0]


def test_a_live_job_loses_its_ttl(t: Transitions) -> None:
    """A TTL that another tool left on a waiting job is taken off when it starts (I4, U13)."""
    t.register("a")
    t.add("j")
    t.client.expire(t.keyspace.job("j"), 100)
    t.claim()
    assert t.client.ttl(t.keyspace.job("j")) == -1


def test_the_record_names_the_queue_it_was_found_in(t: Transitions) -> None:
    """A foreign or missing queue name is put right, so that the job goes back where it came from (I1)."""
    t.register("a")
    foreign(t, "j", queue_name="somewhere")
    (job,) = t.claim().jobs
    assert t.record("j")["queue_name"] == t.keyspace.queue("default")
    t.end(job, SettleKind.RELEASE)
    assert t.queued() == ["j"]


def test_a_job_asked_to_end_does_not_start(t: Transitions) -> None:
    """A waiting job with a cancel request, as another tool may leave it, ends instead of running (T2)."""
    t.register("a")
    t.add("j", unique_key="u")
    t.client.hset(t.keyspace.job("j"), "cancel_requested_at", "2026-01-01T12:00:00Z")
    assert t.claim().jobs == ()
    assert (t.record("j")["status"], t.queued()) == ("CANCELLED", [])
    assert t.client.exists(t.keyspace.idempotency("u")) == 0


def test_upstream_locks_are_respected_and_written_when_asked(t: Transitions) -> None:
    """A job locked by an orchestrator of the public line is left to it; ours locks only when told to."""
    t.register("a")
    t.add("locked")
    t.add("free", job_timeout_seconds=30)
    t.client.set(t.keyspace.lock_job("locked"), "upstream")
    claim = t.claim(lock_extension_seconds=60)
    assert (ids(claim.jobs), claim.queues[0].skipped) == (["free"], 1)
    assert t.client.get(t.keyspace.lock_job("free")) == b"a:1"
    assert t.client.ttl(t.keyspace.lock_job("free")) == pytest.approx(90, abs=5)
    t.end(claim.jobs[0], SettleKind.COMPLETE)
    t.client.delete(t.keyspace.lock_job("locked"))
    t.claim()
    assert t.client.exists(t.keyspace.lock_job("locked")) == 0


def test_a_job_that_is_being_given_back_stays_in_its_queue(t: Transitions) -> None:
    """The public line's janitor locks a job, puts it into its queue, and calls it PENDING a moment later: a
    claim in between leaves it there (F97).
    """
    t.register("a")
    t.add("theirs")
    t.client.hset(t.keyspace.job("theirs"), mapping={"status": "ACTIVE", "worker_id": "upstream"})
    t.client.set(t.keyspace.lock_job("theirs"), "orphan-recovery-upstream")
    assert t.claim().jobs == ()
    assert t.queued() == ["theirs"]
    t.client.hset(t.keyspace.job("theirs"), "status", "PENDING")
    t.client.delete(t.keyspace.lock_job("theirs"))
    assert ids(t.claim().jobs) == ["theirs"]


@pytest.mark.parametrize("score", [float("-inf"), 0.0, 1e10, NOON_MS + 0.123])
def test_odd_scores_do_no_harm(t: Transitions, score: float) -> None:
    """A job with a score of long ago runs; its waiting time does not spoil the counters."""
    t.register("a")
    t.now_ms += 1
    foreign(t, "j", score)
    (job,) = t.claim().jobs
    assert job.due_ms == score
    assert 0 <= t.counts()["wait_ms"] <= 1


def test_a_token_is_never_used_twice(t: Transitions) -> None:
    """Each claim raises the token by one, whatever ended the one before (I5)."""
    t.register("a")
    t.add("j", max_retries=100)
    for seq in range(1, 8):
        (job,) = t.claim().jobs
        assert job.claim_seq == seq
        t.end(job, (SettleKind.RETRY, SettleKind.RELEASE)[seq % 2])


def test_without_a_given_time_the_servers_counts(t: Transitions) -> None:
    """All scores come from one clock, that of Redis, to the microsecond (F47)."""
    t.now_ms = None  # type: ignore[assignment]
    t.register("a")
    seconds, micros = t.client.time()
    t.enqueue(Job("f", job_id="j"), Job("f", job_id="k", defer_by=60))
    before = seconds * 1000 + micros / 1000
    assert before <= (t.due_ms("j") or 0.0) <= before + 5000
    (job,) = t.claim().jobs
    assert job.id == "j"
    t.end(job, SettleKind.RETRY, delay_ms=30_000)
    assert before + 30_000 <= (t.due_ms("j") or 0.0) <= before + 35_000
    assert before + 60_000 <= (t.due_ms("k") or 0.0) <= before + 65_000
    assert t.claim().queues[0].next_ms == t.due_ms("j")
