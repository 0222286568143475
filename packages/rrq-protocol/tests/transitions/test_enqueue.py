"""Accepting jobs (T0, T0r, T1): what is written, what is refused, what a repeat does."""

import hashlib
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rrq_protocol import InvalidJob, Job, Keyspace, PayloadTooLarge, new_job_id, parse_record, transitions
from rrq_protocol.transitions import EnqueueDefaults, EnqueueKind, Guard, PreparedJob, SettleKind, prepare
from support.audit import read_keys
from support.transitions import NOON_MS, Transitions, ids

CREATED, EXISTS, TAKEN = EnqueueKind.CREATED, EnqueueKind.EXISTS, EnqueueKind.TAKEN


def kinds(replies: "tuple[transitions.EnqueueReply, ...]") -> list[EnqueueKind]:
    """Return what became of each record."""
    return [reply.kind for reply in replies]


def test_a_record_has_the_fields_of_the_schema(t: Transitions) -> None:
    """A new job is stored in the public line's fields and formats, together with its queue entry."""
    (reply,) = t.enqueue(Job("mail#send", {"to": "é"}, job_id="j", trace_context={"traceparent": "00-1"}))
    assert reply == transitions.EnqueueReply(CREATED, "j")
    record = t.record("j")
    assert len(record.pop("payload_digest")) == 24
    assert record == {
        "id": "j",
        "function_name": "mail#send",
        "job_params": '{"to":"é"}',
        "enqueue_time": "2026-01-01T12:00:00.000Z",
        "status": "PENDING",
        "current_retries": "0",
        "next_scheduled_run_time": "2026-01-01T12:00:00.000Z",
        "max_retries": "5",
        "job_timeout_seconds": "300",
        "result_ttl_seconds": "86400",
        "queue_name": t.keyspace.queue("default"),
        "result": "null",
        "trace_context": '{"traceparent":"00-1"}',
    }
    assert t.due_ms("j") == NOON_MS
    assert t.counts() == {"enqueued": 1}
    assert t.client.smembers(t.keyspace.queues) == {b"default"}
    assert t.client.lrange(t.keyspace.wake("default"), 0, -1) == [b"1"]
    minute: Any = t.client.hgetall(t.keyspace.stats_minute("default", NOON_MS // 60_000))
    assert minute == {b"enqueued": b"1"}
    assert t.client.ttl(t.keyspace.stats_minute("default", NOON_MS // 60_000)) > 86_400


def test_stored_times_are_those_of_the_calendar(t: Transitions, rng: Any) -> None:
    """The script's own calendar agrees with Python's, over leap days and centuries."""
    for index in range(100):
        t.now_ms = rng.randrange(7_258_118_400_000)
        t.add(f"j{index}")
        record = t.record(f"j{index}")
        stored = datetime.fromisoformat(record["enqueue_time"])
        assert stored == datetime.fromtimestamp(t.now_ms / 1000, UTC).replace(
            microsecond=t.now_ms % 1000 * 1000
        )


def test_each_job_of_a_batch_has_its_own_time(t: Transitions) -> None:
    """Jobs of one call that are due at different times, or in the same ms again, say so each."""
    waits_s = (0, 60, 60, 0, 1.5, 0.001, 0, 60)
    t.enqueue(*(Job("f", job_id=f"j{n}", defer_by=wait_s) for n, wait_s in enumerate(waits_s)))
    for n, wait_s in enumerate(waits_s):
        due = datetime.fromisoformat(t.record(f"j{n}")["next_scheduled_run_time"])
        assert due == datetime.fromtimestamp((NOON_MS + wait_s * 1000) / 1000, UTC)


def test_what_is_rarely_given_is_stored(t: Transitions) -> None:
    """The fields that a job may do without are there exactly where they were given."""
    t.add("all", unique_key="u", trace_context={"a": "1"}, correlation_context={"b": "2"})
    t.add("none")
    fields = ("job_unique_key", "trace_context", "correlation_context")
    assert [t.record("all")[name] for name in fields] == ["u", '{"a":"1"}', '{"b":"2"}']
    assert not set(fields) & set(t.record("none"))


def test_a_repeat_changes_nothing(t: Transitions) -> None:
    """The same job sent again, as after a lost reply, is recognised and nothing is written (T0r)."""
    jobs = [Job("f", {"n": n}, job_id=f"j{n}", unique_key=f"u{n}") for n in range(3)]
    assert kinds(t.enqueue(*jobs)) == [CREATED] * 3
    before = read_keys(t.client, t.keyspace)
    t.now_ms += 5000
    assert kinds(t.enqueue(*jobs)) == [EXISTS] * 3
    assert read_keys(t.client, t.keyspace) == before


def test_an_id_belongs_to_its_content(t: Transitions) -> None:
    """An id that is in use for something else is refused, and the stored job stays as it is (F87)."""
    t.add("j", params={"n": 1})
    before = t.record("j")
    assert kinds(t.enqueue(Job("f", {"n": 2}, job_id="j"), Job("g", {"n": 1}, job_id="j"))) == [TAKEN] * 2
    assert t.record("j") == before


@pytest.mark.parametrize("fields", [{"job_params": "{}"}, {"status": "PENDING"}, {"note": "by hand"}])
def test_any_record_under_the_id_counts(damaged: Transitions, fields: dict[str, str]) -> None:
    """A half-written or foreign record of the same id is not merged with the new one."""
    key = damaged.keyspace.job("j")
    damaged.client.hset(key, mapping=fields)
    assert kinds(damaged.enqueue(Job("f", job_id="j"))) == [TAKEN]
    assert damaged.record("j") == fields


def test_a_batch_keeps_its_order_and_is_due_at_once(t: Transitions) -> None:
    """Jobs of one call become due in their order, none of them in the future."""
    names = [f"j{n:03}" for n in (index * 37 % 100 for index in range(100))]
    t.enqueue(*(Job("f", job_id=name) for name in names))
    assert t.queued() == names
    assert max(t.due_ms(name) or math.inf for name in names) <= t.now_ms


@pytest.mark.parametrize(
    ("fields", "due_ms"),
    [
        ({"defer_by": 1.5}, NOON_MS + 1500),
        ({"defer_by": timedelta(minutes=1)}, NOON_MS + 60_000),
        ({"defer_until": datetime(2026, 1, 1, 13, tzinfo=UTC)}, NOON_MS + 3_600_000),
        ({"defer_until": datetime(2020, 1, 1, tzinfo=UTC)}, 1_577_836_800_000),
    ],
)
def test_a_job_may_wait_for_its_time(t: Transitions, fields: dict[str, Any], due_ms: float) -> None:
    """A deferral is counted from the server's now; an instant is taken as it is."""
    t.add("j", **fields)
    assert t.due_ms("j") == due_ms
    assert parse_record(
        t.client.hgetall(t.keyspace.job("j"))
    ).next_scheduled_run_time == datetime.fromtimestamp(due_ms / 1000, UTC)


@pytest.mark.parametrize(
    "due", ["=inf", "=-inf", "=nan", "=1e300", "=-5", "=x", "+inf", "+nan", "+-9", "+1e300"]
)
def test_a_due_time_is_always_a_finite_one(t: Transitions, due: str) -> None:
    """Whatever a caller computes, a score lies between 1970 and 2200 (I11)."""
    job = prepare(Job("f", job_id="j"), t.defaults)
    args = (*job.args[:8], due, *job.args[9:])
    call = transitions.enqueue(t.keyspace, [PreparedJob("j", "default", args)], now_ms=t.now_ms)
    assert kinds(t.run(call)) == [CREATED]
    assert 0 <= (t.due_ms("j") or 0.0) <= 7_258_118_400_000
    t.parsed("j")


def test_a_unique_key_admits_one_job_at_a_time(t: Transitions) -> None:
    """While a job holds its key, others get its id instead; a repeat of the holder is still a repeat."""
    t.add("one", unique_key="u")
    assert t.enqueue(Job("f", unique_key="u"))[0] == transitions.EnqueueReply(EnqueueKind.UNIQUE, "one")
    assert kinds(t.enqueue(Job("f", job_id="one", unique_key="u"))) == [EXISTS]
    assert t.queued() == ["one"]


@pytest.mark.parametrize("kind", [SettleKind.COMPLETE, SettleKind.FAIL, SettleKind.CANCEL])
def test_a_unique_key_is_free_when_its_job_ends(t: Transitions, kind: SettleKind) -> None:
    """However a job ends, the next one of its key is accepted at once (I9, F88)."""
    job = t.start("one", unique_key="u")
    assert kinds(t.enqueue(Job("f", unique_key="u"))) == [EnqueueKind.UNIQUE]
    t.end(job, kind)
    # Not only passed over by the next one: producers of the public line look at the key alone.
    assert t.client.exists(t.keyspace.idempotency("u")) == 0
    t.add("two", unique_key="u")


@pytest.mark.parametrize("kind", [SettleKind.COMPLETE, SettleKind.FAIL, SettleKind.CANCEL])
def test_nobody_frees_the_key_of_another(t: Transitions, kind: SettleKind) -> None:
    """A job whose key ran out, and is held by the next one, leaves it alone when it ends (I9)."""
    job = t.start("one", unique_key="u")
    t.client.delete(t.keyspace.idempotency("u"))
    t.add("two", unique_key="u")
    t.end(job, kind)
    assert t.client.get(t.keyspace.idempotency("u")) == b"two"


@pytest.mark.parametrize("kind", [SettleKind.RETRY, SettleKind.RELEASE, SettleKind.CRASH])
def test_a_unique_key_stays_with_a_job_that_goes_on(t: Transitions, kind: SettleKind) -> None:
    """A retry, a release or a crash does not let a second job in."""
    t.end(t.start("one", unique_key="u"), kind)
    assert kinds(t.enqueue(Job("f", unique_key="u"))) == [EnqueueKind.UNIQUE]


def test_a_unique_key_outlasts_a_deferral(t: Transitions) -> None:
    """A deferral longer than the key's own time extends it."""
    t.add("j", unique_key="u", unique_ttl_seconds=5, defer_by=1000)
    t.add("k", unique_key="v", unique_ttl_seconds=5)
    ttls = [t.client.pttl(t.keyspace.idempotency(key)) for key in ("u", "v")]
    assert ttls[0] == pytest.approx(1_000_000, abs=5000)
    assert ttls[1] == pytest.approx(5000, abs=4000)


def test_a_key_left_behind_is_taken_over(t: Transitions) -> None:
    """A key whose job has ended, or is gone, holds nobody up."""
    t.end(t.start("old"), SettleKind.COMPLETE)
    for value in ("old", "never-was"):
        t.client.set(t.keyspace.idempotency(value), value)
        t.add(f"new-{value}", unique_key=value)
        assert t.client.get(t.keyspace.idempotency(value)) == f"new-{value}".encode()


def test_a_rate_limit_lets_one_through(t: Transitions) -> None:
    """Within the period only one job of a key is accepted; the others leave no trace."""
    limit = Guard("rate_limit", "acct", 60)
    assert kinds(t.enqueue(Job("f", job_id="j"), guard=limit)) == [CREATED]
    assert t.enqueue(Job("f"), guard=limit)[0] == transitions.EnqueueReply(EnqueueKind.RATE_LIMITED, "")
    assert kinds(t.enqueue(Job("f", job_id="j"), guard=limit)) == [EXISTS]
    assert t.queued() == ["j"]
    assert t.client.pttl(t.keyspace.rate_limit("acct")) == pytest.approx(60_000, abs=5000)


def test_a_rate_limit_that_is_something_else_is_told(damaged: Transitions) -> None:
    """A key without an end would limit for ever, and nobody would know why."""
    damaged.client.lpush(damaged.keyspace.rate_limit("acct"), "x")
    assert kinds(damaged.enqueue(Job("f"), guard=Guard("rate_limit", "acct", 60))) == [EnqueueKind.WRONG_TYPE]
    assert damaged.queued() == []


def test_debounced_calls_gather_in_one_job(t: Transitions) -> None:
    """The pending job of a key takes the newest payload and time; once it has started, a new one begins."""
    guard = Guard("debounce", "doc", 60)
    assert kinds(t.enqueue(Job("f", {"n": 1}, job_id="j", defer_by=2), guard=guard)) == [CREATED]
    t.now_ms += 1000
    (reply,) = t.enqueue(Job("g", {"n": 2}, defer_by=2), guard=guard)
    assert reply == transitions.EnqueueReply(EnqueueKind.UPDATED, "j")
    assert (t.record("j")["function_name"], t.record("j")["job_params"]) == ("g", '{"n":2}')
    assert t.due_ms("j") == NOON_MS + 3000
    t.now_ms += 5000
    t.register("a")
    assert ids(t.claim().jobs) == ["j"]
    assert kinds(t.enqueue(Job("f", {"n": 3}, job_id="k", defer_by=2), guard=guard)) == [CREATED]
    assert t.client.get(t.keyspace.debounce("doc")) == b"k"


def test_a_pending_job_can_be_moved(t: Transitions) -> None:
    """Rescheduling gives the pending job of an id a new payload, time and queue; one that runs stays (T1)."""
    t.add("j", params={"n": 1}, defer_by=100)
    moved = Job("f", {"n": 2}, job_id="j", queue_name="other", defer_by=5)
    assert kinds(t.enqueue(moved, guard=Guard("reschedule"))) == [EnqueueKind.UPDATED]
    assert (t.queued(), t.queued("other"), t.due_ms("j", "other")) == ([], ["j"], NOON_MS + 5000)
    t.now_ms += 5000
    t.register("a")
    t.claim(queue="other")
    assert kinds(t.enqueue(moved, guard=Guard("reschedule"))) == [EXISTS]
    assert kinds(t.enqueue(Job("f", {"n": 3}, job_id="j"), guard=Guard("reschedule"))) == [TAKEN]
    assert kinds(t.enqueue(Job("f", job_id="new"), guard=Guard("reschedule"))) == [CREATED]


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("kind", [SettleKind.COMPLETE, SettleKind.FAIL, SettleKind.CANCEL])
def test_a_job_that_has_ended_is_not_rescheduled(t: Transitions, kind: SettleKind, n: int) -> None:
    """Whoever asks for it is told, also with the same content; the record stays as it was."""
    t.end(t.start("j", params={"n": 1}), kind)
    before = t.record("j")
    (reply,) = t.enqueue(Job("f", {"n": n}, job_id="j", defer_by=5), guard=Guard("reschedule"))
    assert reply == transitions.EnqueueReply(EnqueueKind.ENDED, "j")
    assert (t.record("j"), t.queued()) == (before, [])


def test_a_job_that_has_run_is_not_moved(t: Transitions) -> None:
    """Between two attempts a job keeps its payload and its time (T1's guard)."""
    t.end(t.start("j", params={"n": 1}), SettleKind.RETRY, delay_ms=5000)
    assert kinds(t.enqueue(Job("f", {"n": 2}, job_id="j"), guard=Guard("reschedule"))) == [TAKEN]
    assert (t.record("j")["job_params"], t.due_ms("j")) == ('{"n":1}', NOON_MS + 5000)


def test_a_record_cannot_point_the_script_at_foreign_keys(damaged: Transitions) -> None:
    """A queue name in a record that leads out of our queues is not followed."""
    foreign = f"{damaged.keyspace.prefix}-other"
    damaged.client.zadd(foreign, {"j": 1})
    damaged.add("j")
    damaged.client.hset(damaged.keyspace.job("j"), "queue_name", foreign)
    damaged.enqueue(Job("f", {"n": 2}, job_id="j", queue_name="q"), guard=Guard("reschedule"))
    damaged.cancel("j")
    assert damaged.client.zrange(foreign, 0, -1) == [b"j"]
    damaged.client.delete(foreign)


PAST = datetime(1969, 1, 1, tzinfo=UTC)
NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001 - refused for being naive


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"function_name": " "}, "function_name"),
        ({"function_name": "bad runner#f"}, "function_name"),
        ({"queue_name": "a:b"}, "queue_name"),
        ({"job_id": "a\nb"}, "job_id"),
        ({"params": [1]}, "params"),
        ({"params": {"x": math.nan}}, "params.x"),
        ({"max_retries": 0}, "max_retries"),
        ({"max_retries": True}, "max_retries"),
        ({"max_retries": 2.5}, "max_retries"),
        ({"job_timeout_seconds": 0}, "job_timeout_seconds"),
        ({"job_timeout_seconds": math.inf}, "job_timeout_seconds"),
        ({"job_timeout_seconds": "5"}, "job_timeout_seconds"),
        ({"result_ttl_seconds": -1}, "result_ttl_seconds"),
        ({"unique_key": ""}, "unique_key"),
        ({"unique_key": "a\x00"}, "unique_key"),
        ({"unique_key": "u", "unique_ttl_seconds": math.nan}, "unique_ttl_seconds"),
        ({"defer_by": -1}, "defer_by"),
        ({"defer_until": NAIVE}, "defer_until"),
        ({"defer_until": PAST}, "defer_until"),
        ({"defer_until": "tomorrow"}, "defer_until"),
        ({"defer_until": datetime.now(UTC), "defer_by": 1}, "defer_until"),
        ({"trace_context": {"a": 1}}, "trace_context"),
        ({"correlation_context": {"a": "x" * 70_000}}, "correlation_context"),
        ({"on_conflict": "ignore"}, "on_conflict"),
    ],
)
def test_a_job_that_cannot_be_stored_is_refused_by_field(fields: dict[str, Any], field: str) -> None:
    """Mistakes are found before anything is sent, and the error names the field."""
    with pytest.raises(InvalidJob) as caught:
        prepare(Job(**{"function_name": "f", **fields}), EnqueueDefaults())
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("guard", "field"),
    [
        (Guard("sometimes"), "guard"),
        (Guard("rate_limit", "", 5), "rate_limit_key"),
        (Guard("rate_limit", "k", 0), "rate_limit_seconds"),
        (Guard("debounce", "k", math.nan), "debounce_seconds"),
        (Guard("debounce", "k" * 300, 5), "debounce_key"),
    ],
)
def test_a_condition_needs_its_key_and_period(guard: Guard, field: str) -> None:
    """A rate limit or debounce without a usable key or period is refused before the server would."""
    with pytest.raises(InvalidJob) as caught:
        prepare(Job("f"), EnqueueDefaults(), guard=guard)
    assert caught.value.field == field


def test_a_payload_has_a_limit() -> None:
    """Parameters over the limit are refused with both sizes; at the limit they are accepted (F86)."""
    defaults = EnqueueDefaults(max_payload_bytes=100)
    prepare(Job("f", {"x": "y" * 92}), defaults)
    with pytest.raises(PayloadTooLarge) as caught:
        prepare(Job("f", {"x": "y" * 93}), defaults)
    assert (caught.value.limit_bytes, caught.value.size_bytes) == (100, 101)


def test_ids_are_made_where_none_is_given(t: Transitions) -> None:
    """A prepared job has its id before it is sent, so that sending it twice yields one job."""
    job = prepare(Job("f"), t.defaults)
    assert len(job.job_id) == len(new_job_id())
    for kind in (CREATED, EXISTS):
        assert kinds(t.run(transitions.enqueue(t.keyspace, [job], now_ms=t.now_ms))) == [kind]


def test_the_digest_is_that_of_function_queue_and_params(t: Transitions) -> None:
    """Stored digests are compared with those of later versions, so how they are made is fixed."""
    for function, queue, params, text in (
        ("f", "default", {"a": 1}, b'f\0default\0{"a":1}'),
        ("mail#send", "media", {}, b"mail#send\0media\0{}"),
        ("f", "default", {"a": 1}, b'f\0default\0{"a":1}'),
    ):
        job = prepare(Job(function, params, queue_name=queue), t.defaults)
        assert job.args[7] == hashlib.blake2b(text, digest_size=12).hexdigest()


@pytest.mark.parametrize("name", [[], ["f"], {}, 7, None, "", " ", "a\nb", "f" * 300])
def test_a_wrong_name_is_refused_each_time(name: Any) -> None:
    """Names are remembered once they are checked; a wrong one never passes, whatever it is."""
    for _ in range(2):
        with pytest.raises(InvalidJob) as caught:
            prepare(Job(name), EnqueueDefaults())
        assert caught.value.field == "function_name"
        with pytest.raises(InvalidJob) as caught:
            prepare(Job("f", queue_name=name or "?"), EnqueueDefaults())
        assert caught.value.field == "queue_name"


def test_a_reply_is_read_decoded_or_not() -> None:
    """Whether or not the client decodes replies itself, they say the same."""
    call = transitions.enqueue(Keyspace(), [])
    replies = [call.result(["taken", "é"]), call.result([b"taken", "é".encode()])]
    assert replies == [(transitions.EnqueueReply(TAKEN, "é"),)] * 2
