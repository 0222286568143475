"""Job hashes that somebody else wrote, claimed by the script in a real Redis (RELIABILITY.md F83 to F85,
G15)."""

import json
import math
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import msgspec
import redis

from rrq_protocol import (
    ABSENT,
    ExecutionContext,
    ExecutionRequest,
    Keyspace,
    OrchestratorConnection,
    RunnerConnection,
    WireContext,
    WireRequest,
)
from rrq_protocol.connection import ExecutionRequested
from rrq_protocol.names import split_function_name
from rrq_protocol.transitions import Claim, ClaimedJob, Malformed, SettleKind, Settlement
from support.fuzzing import Fuzz, read_corpus
from support.fuzzing.records import RECORDS, raw_hash, raw_text
from support.transitions import Transitions

SHARE = 1 / 30  # 10,000 of 300,000
CORPORA = ("records", "claims")
LONGEST_S = 365 * 86_400.0
GOOD: Mapping[str, str] = {
    "id": "good",
    "function_name": "f",
    "job_params": '{"good":1}',
    "status": "PENDING",
    "enqueue_time": "2026-01-01T00:00:00Z",
    "current_retries": "0",
    "max_retries": "3",
    "job_timeout_seconds": "60",
}
STRANGER = b"j"  # the id of the records in the corpora
NEIGHBOURS = ("good-before", "good-after")
# What claiming and dead-lettering write. Everything else in a record is as its writer left it.
OURS = frozenset(
    b"status last_error completion_time dlq_name queue_name worker_id start_time claim_seq suspect".split()
)


def named(fields: Mapping[bytes, bytes], job_id: bytes) -> Mapping[bytes, bytes]:
    """Return a record as one of that id, if it has the id that all of them have."""
    return {**fields, b"id": job_id} if fields.get(b"id") == STRANGER else fields


class Hostile:
    """One key space in which a stranger's record waits between two good ones."""

    def __init__(self, client: "redis.Redis", keyspace: Keyspace) -> None:
        self.client: Any = client
        self.keys = keyspace
        self.transitions = Transitions(client, keyspace)
        self.transitions.register("a", lease_ms=10**9)

    def check(self, case: Any) -> Iterable[Hashable]:
        """Claim the record and see it run as stored, set aside, or left alone."""
        job_id = raw_text(case["@id"]) if isinstance(case, dict) and "@id" in case else STRANGER
        fields = named(raw_hash(case), job_id)
        if job_id in [name.encode() for name in NEIGHBOURS]:
            return ["same id"]
        key = self.keys.job("").encode() + job_id
        self._store(fields, job_id, key)
        reply = self.transitions.claim(free={"python": 10, "other": 10})
        assert not reply.fenced
        assert [queue.next_ms for queue in reply.queues] == [None]
        claimed = {job.id.encode(): job for job in reply.jobs}
        refused = {record.id.encode(): record for record in reply.malformed}
        for name in NEIGHBOURS:
            assert claimed.pop(name.encode()).params == msgspec.Raw(b'{"good":1}')
        assert set(claimed) | set(refused) <= {job_id}
        if job_id in claimed:
            outcome = self._ran(claimed[job_id], fields)
        elif job_id in refused:
            outcome = self._set_aside(refused[job_id], fields, key)
        else:
            outcome = self._not_leased(fields, key)
        return outcome

    def _store(self, fields: Mapping[bytes, bytes], job_id: bytes, key: bytes) -> None:
        queue, good = self.keys.queue("default"), [self.keys.job(name) for name in NEIGHBOURS]
        with self.client.pipeline(transaction=False) as pipe:
            pipe.delete(key, *good, self.keys.active("a"), self.keys.dlq("default"), self.keys.quarantine)
            for name in good:
                pipe.hset(name, mapping={**GOOD, "id": name.removeprefix(self.keys.job(""))})
            if fields:
                pipe.hset(key, mapping=fields)
            pipe.zadd(queue, {NEIGHBOURS[0]: 1, job_id: 2, NEIGHBOURS[1]: 3})
            pipe.execute()

    def _settle(self, job_id: str, seq: int, kind: SettleKind, text: str) -> None:
        """End an attempt, as the dispatcher does."""
        settlement = Settlement(job_id, seq, kind, "default", text, ttl_seconds=3600)
        (reply,) = self.transitions.settle(settlement)
        assert reply == "ok"

    def _ran(self, job: ClaimedJob, fields: Mapping[bytes, bytes]) -> Iterable[Hashable]:
        """A job that is handed out says what is stored, and a runner understands it."""
        is_stored(job, fields)
        request = sent(job)
        assert request.params == json.loads(fields[b"job_params"])
        self._settle(job.id, job.claim_seq, SettleKind.COMPLETE, "null")
        return ["ran", *(f"ran with {name.decode()}" for name in fields if name in READ_BY_CLAIM)]

    def _set_aside(self, record: Malformed, fields: Mapping[bytes, bytes], key: bytes) -> Iterable[Hashable]:
        """A record that was leased and cannot be read is dead-lettered with the reason, and kept."""
        self._settle(record.id, record.claim_seq, SettleKind.FAIL, record.reason)
        self._is_kept(fields, key)
        return [record.reason[:40]]

    def _not_leased(self, fields: Mapping[bytes, bytes], key: bytes) -> Iterable[Hashable]:
        status = fields.get(b"status")
        if not fields:
            assert not self.client.exists(key)
            return ["no record"]
        if status in (b"COMPLETED", b"FAILED", b"CANCELLED", b"ACTIVE"):
            assert self.client.hgetall(key) == fields
            return [(status, "left alone")]
        stored = self.client.hgetall(key)
        if fields.get(b"cancel_requested_at") is not None and stored[b"status"] == b"CANCELLED":
            return ["cancelled"]
        self._is_kept(fields, key)
        return [stored[b"last_error"]]

    def _is_kept(self, fields: Mapping[bytes, bytes], key: bytes) -> None:
        with self.client.pipeline(transaction=False) as pipe:
            stored, dead, ttl = pipe.hgetall(key).lrange(self.keys.dlq("default"), 0, -1).ttl(key).execute()
        assert stored[b"status"] == b"FAILED"
        assert stored[b"last_error"].startswith(b"malformed: ")
        assert {name: value for name, value in stored.items() if name not in OURS} == {
            name: value for name, value in fields.items() if name not in OURS
        }
        assert dead == [key.removeprefix(self.keys.job("").encode())]
        assert ttl > 0


READ_BY_CLAIM = frozenset(
    b"current_retries max_retries job_timeout_seconds result_ttl_seconds dlq_name crash_count trace_context "
    b"correlation_context attempts_log".split()
)


def is_stored(job: ClaimedJob, fields: Mapping[bytes, bytes]) -> None:
    """Each value of a job that is handed out is what is stored, or what stands for nothing stored."""
    assert bytes(job.params) == fields[b"job_params"].strip(b" \t\r\n")
    strict = json.loads(fields[b"job_params"], parse_constant=_finite, parse_float=_finite)
    assert isinstance(strict, dict)
    assert job.function_name.encode() == fields[b"function_name"]
    assert job.enqueue_time.encode() == fields[b"enqueue_time"]
    for name, nothing, read in (
        ("current_retries", 0, int),
        ("max_retries", None, int),
        ("crash_count", 0, int),
        ("job_timeout_seconds", None, _clamped),
        ("result_ttl_seconds", None, float),
        ("correlation_context", None, json.loads),
        ("trace_context", None, bytes),
    ):
        raw = fields.get(name.encode())
        value = getattr(job, name.removeprefix("job_"))
        assert (bytes(value) if isinstance(value, msgspec.Raw) else value) == (read(raw) if raw else nothing)
    assert job.attempts_log == fields.get(b"attempts_log")
    assert job.cancel_requested == (b"cancel_requested_at" in fields)


def _clamped(raw: bytes) -> float:
    seconds = float(raw)
    assert seconds > 0
    return min(seconds, LONGEST_S)


def _finite(text: str) -> float:
    number = float(text)
    assert math.isfinite(number), f"{text} was taken for JSON"
    return number


def sent(job: ClaimedJob) -> ExecutionRequest:
    """Return the request as a runner reads it, framed the way the dispatcher does."""
    context = WireContext(
        job_id=job.id,
        attempt=job.current_retries + 1,
        enqueue_time=job.enqueue_time,
        queue_name=job.queue,
        trace_context=ABSENT if job.trace_context is None else job.trace_context,
        correlation_context=job.correlation_context,
        worker_id="a",
    )
    _, handler = split_function_name(job.function_name)
    request = WireRequest(
        request_id="r", job_id=job.id, function_name=handler, params=job.params, context=context
    )
    (event,) = RunnerConnection().receive(OrchestratorConnection().request(request))
    assert isinstance(event, ExecutionRequested), event
    assert isinstance(event.request.context, ExecutionContext)
    return event.request


def test_a_stranger_s_record_runs_as_stored_or_not_at_all(
    fuzz: Fuzz, redis_client: "redis.Redis", keyspace: Keyspace
) -> None:
    """Whatever a record in the queue holds: its neighbours are claimed; it is handed out with exactly what is
    stored, so that a runner understands it, or it fails with the reason, and nothing of it is lost.
    """
    hostile = Hostile(redis_client, keyspace)
    report = fuzz.run("claims", RECORDS, hostile.check, share=SHARE, corpora=CORPORA)
    if fuzz.only is None:
        fields = (
            "id", "function_name", "job_params", "enqueue_time", "status", "current_retries", "max_retries",
            "job_timeout_seconds",
        )  # fmt: skip
        found = {str(outcome) for outcome in report.outcomes}
        assert "ran" in found
        for field in fields:
            assert any(f"malformed: {field}" in outcome for outcome in found), field


def test_records_of_one_batch_are_told_apart(
    fuzz: Fuzz, redis_client: "redis.Redis", keyspace: Keyspace
) -> None:
    """All corpus records claimed in one call: each is handed out, set aside or left alone as if it were
    alone."""
    alone, together = Hostile(redis_client, keyspace), Transitions(redis_client, keyspace)
    entries = [entry for each in CORPORA for entry in read_corpus(each)]
    cases = {f"c{n}": RECORDS.read(entry.data) for n, entry in enumerate(entries)}
    cases = {name: case for name, case in cases.items() if "@id" not in case}
    expected = {name: "ran" in alone.check(case) for name, case in cases.items()}
    for name, case in cases.items():
        if fields := named(raw_hash(case), name.encode()):
            redis_client.hset(keyspace.job(name), mapping=dict(fields))  # type: ignore[arg-type]
        redis_client.zadd(keyspace.queue("default"), {name: 1})
    reply: Claim = together.claim(wanted=1000)
    assert {job.id for job in reply.jobs} == {name for name, ran in expected.items() if ran}
