"""Calls that move a job, repeated after their answer was lost: each has its effect once (I16, F2)."""

from collections.abc import Sequence

import msgspec
import pytest

from rrq_protocol import Job
from rrq_protocol.transitions import (
    EnqueueKind,
    EnqueueReply,
    Guard,
    PreparedJob,
    SettleKind,
    enqueue,
    prepare,
)
from support.audit import read_keys
from support.transitions import Transitions

DEBOUNCE = Guard("debounce", "doc", 5)
GUARDS = [pytest.param(DEBOUNCE, id="debounce"), pytest.param(Guard("reschedule"), id="reschedule")]


def asked(t: Transitions, guard: Guard, n: int, job_id: str | None = None) -> PreparedJob:
    """Return a call that makes the job run in 5 s with the payload ``n``."""
    if guard.kind == "reschedule":
        job_id = "j"
    return prepare(Job("f", {"n": n}, job_id=job_id, defer_by=5), t.defaults, guard=guard)


def told(t: Transitions, *calls: PreparedJob) -> tuple[str, str]:
    """Make a call; return what it is told."""
    replies: Sequence[EnqueueReply] = t.run(enqueue(t.keyspace, calls, now_ms=t.now_ms))
    return replies[-1].kind.value, replies[-1].job_id


def ran(t: Transitions) -> list[bytes]:
    """Let time pass; run what is due, and return the payloads."""
    t.now_ms += 6000
    t.register("a")
    jobs = t.claim().jobs
    for job in jobs:
        t.end(job, SettleKind.COMPLETE)
    return [bytes(job.params) for job in jobs]


@pytest.mark.parametrize("guard", GUARDS)
def test_a_repeat_after_the_start_is_no_second_job(t: Transitions, guard: Guard) -> None:
    """A call that moved the pending job, repeated when that has ended, runs nothing again."""
    told(t, asked(t, guard, 1, "j"))
    second = asked(t, guard, 2)
    assert told(t, second) == ("updated", "j")
    assert ran(t) == [b'{"n":2}']
    before = read_keys(t.client, t.keyspace)
    assert told(t, second) == ("updated", "j")
    assert read_keys(t.client, t.keyspace) == before
    assert ran(t) == []


@pytest.mark.parametrize("guard", GUARDS)
def test_a_repeat_does_not_undo_a_later_call(t: Transitions, guard: Guard) -> None:
    """The payload is that of the newest call, however late an older one is repeated."""
    calls = [asked(t, guard, n, f"j{n}") for n in range(4)]
    answers = [told(t, call) for call in calls]
    assert [kind for kind, _ in answers] == ["created", "updated", "updated", "updated"]
    assert [told(t, call) for call in calls[:3]] == answers[:3]
    assert ran(t) == [b'{"n":3}']
    assert [told(t, call) for call in calls] == answers
    assert ran(t) == []


def test_a_repeat_is_known_while_the_next_job_gathers(t: Transitions) -> None:
    """A call of the job before moves nothing of the job that gathers now."""
    told(t, asked(t, DEBOUNCE, 1, "j"))
    late = asked(t, DEBOUNCE, 2)
    told(t, late)
    assert ran(t) == [b'{"n":2}']
    assert told(t, asked(t, DEBOUNCE, 3, "k")) == ("created", "k")
    assert told(t, late) == ("updated", "j")
    assert ran(t) == [b'{"n":3}']


@pytest.mark.parametrize("guard", GUARDS)
def test_equal_calls_are_not_repeats(t: Transitions, guard: Guard) -> None:
    """Whoever asks again for the same moves the job again: only a repeat has the name of the first call."""
    told(t, asked(t, guard, 1, "j"))
    for _ in range(2):
        t.now_ms += 1000
        assert told(t, asked(t, guard, 1)) == ("updated", "j")
        assert t.due_ms("j") == t.now_ms + 5000


@pytest.mark.parametrize("guard", GUARDS)
def test_what_is_kept_of_calls_is_bounded(t: Transitions, guard: Guard) -> None:
    """After many calls some of the latest are known, in a few KiB, and not for ever."""
    calls = [asked(t, guard, n, f"j{n:0100}") for n in range(300)]
    answers = [told(t, call) for call in calls]
    assert [told(t, call) for call in calls[-10:]] == answers[-10:]
    kept = t.record("j")["calls"] if guard.kind == "reschedule" else t.client.get(t.keyspace.debounced("doc"))
    assert len(kept) <= 4096
    if guard.kind == "debounce":
        assert 500_000 < t.client.pttl(t.keyspace.debounced("doc")) <= 600_000
    ran(t)


@pytest.mark.parametrize("guard", GUARDS)
def test_a_call_without_a_name_is_served(t: Transitions, guard: Guard) -> None:
    """Callers of the script that name no calls get what they ask for; nothing is kept of them."""
    call = asked(t, guard, 1, "j")
    ttl = str(call.args[13]).partition(" ")[0]
    plain = PreparedJob(call.job_id, call.queue_name, (*call.args[:13], ttl, *call.args[14:]))
    assert told(t, plain) == ("created", "j")
    assert told(t, asked(t, guard, 2)) == ("updated", "j")
    assert ran(t) == [b'{"n":2}']


@pytest.mark.parametrize("kept", [None, "", "x", ";", ";name", ";name ", "; ;;", "\x00"])
def test_an_odd_note_is_none(t: Transitions, kept: str | None) -> None:
    """Whatever somebody has put in the place of the calls, the call is carried out."""
    told(t, asked(t, DEBOUNCE, 1, "j"))
    key = t.keyspace.debounced("doc")
    t.client.delete(key)
    if kept is None:
        t.client.rpush(key, "x")
    else:
        t.client.set(key, kept)
    call = asked(t, DEBOUNCE, 2)
    assert told(t, call) == ("updated", "j")
    assert told(t, call) == ("updated", "j")
    assert ran(t) == [b'{"n":2}']


@pytest.mark.parametrize("guard", [Guard("debounce", "doc", 60), Guard("reschedule")])
def test_a_moved_job_has_all_its_attempts(t: Transitions, guard: Guard) -> None:
    """What was spent before it was given back is not charged to the new request, whose limit may be lower."""
    t.register("a")
    t.enqueue(Job("f", {"n": 1}, job_id="j", max_retries=5), guard=guard)
    for kind in (SettleKind.RETRY, SettleKind.RETRY, SettleKind.RELEASE):
        t.end(t.claim().jobs[0], kind)
    own_id = "j" if guard.kind == "reschedule" else None
    assert (
        t.enqueue(Job("f", {"n": 2}, job_id=own_id, max_retries=1), guard=guard)[0].kind
        is EnqueueKind.UPDATED
    )
    (job,) = t.claim().jobs
    assert (job.id, bytes(job.params), job.current_retries, job.max_retries) == ("j", b'{"n":2}', 0, 1)


def test_a_debounced_job_gathers_until_it_starts(t: Transitions) -> None:
    """Also behind a backlog, past its due time, and where that is later than the period says."""
    t.register("a")
    guard = Guard("debounce", "doc", 1)
    for n, later_s in ((1, 1), (2, 1), (3, 60)):
        t.enqueue(Job("f", {"n": n}, job_id=f"j{n}", defer_by=later_s), guard=guard)
        t.client.pexpire(t.keyspace.debounce("doc"), t.client.pttl(t.keyspace.debounce("doc")) - 3_600_000)
    assert t.queued() == ["j1"]
    t.now_ms += 61_000
    (job,) = t.claim().jobs
    assert bytes(job.params) == b'{"n":3}'
    assert t.enqueue(Job("f", {"n": 4}, job_id="j4"), guard=guard)[0].kind is EnqueueKind.CREATED


@pytest.mark.parametrize("trace", [{"traceparent": "new"}, None])
def test_a_moved_job_has_the_contexts_of_the_call(t: Transitions, trace: dict[str, str] | None) -> None:
    """Its attempts belong to the trace of the call whose payload they run; to none, if that had none."""
    guard = Guard("debounce", "doc", 60)
    t.enqueue(Job("f", trace_context={"traceparent": "old"}, correlation_context={"a": "old"}), guard=guard)
    t.enqueue(Job("f", trace_context=trace, correlation_context=trace), guard=guard)
    (record,) = (t.parsed(job_id) for job_id in t.queued())
    stored = None if trace is None else msgspec.json.encode(trace).decode()
    assert (record.trace_context, record.correlation_context) == (stored, stored)
