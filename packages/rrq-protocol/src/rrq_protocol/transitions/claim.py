"""Claiming: one call takes due jobs from several queues, with all that dispatch needs (T2, T2q).

Source: RELIABILITY.md 6.4.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import TypeVar, cast

import msgspec

from rrq_protocol import strict_json
from rrq_protocol.errors import InvalidName, NotSerialisable
from rrq_protocol.job import MAX_TIMEOUT_SECONDS, read_count, read_seconds, read_time
from rrq_protocol.keys import Keyspace
from rrq_protocol.names import validate_function_name, validate_job_id, validate_queue_name
from rrq_protocol.scripts import ScriptCall, Text
from rrq_protocol.transitions.replies import as_list, as_text, now_arg

__all__ = ["Claim", "ClaimRequest", "ClaimedJob", "Malformed", "QueueReply", "claim", "problem_of"]

T = TypeVar("T")
_SLACK = 64
_BYTE_BUDGET = 8 * 1024 * 1024
_MAX_PAYLOAD_BYTES = 16 * 1024 * 1024
_LAST_SEQ = 10**15 - 1


class ClaimRequest(msgspec.Struct, frozen=True):
    """What is asked of one queue.

    Attributes:
        queue: Bare queue name.
        runner: The runner its jobs go to unless they name another.
        wanted: Jobs at most.
        after: ``resume`` of the last reply: where to go on, past jobs that wait for a full runner; empty for
            the start.
    """

    queue: str
    runner: str
    wanted: int
    after: str = ""


class ClaimedJob(msgspec.Struct, frozen=True):
    """A leased attempt; (``id``, ``claim_seq``) is its fencing token, with ``started``: the numbers of a
    record that somebody deleted and made anew begin again.

    Times in ms are epoch, by the server's clock; ``started`` is its text of the moment of the claim. A
    ``suspect`` was in a process that died: it runs alone.
    """

    id: str
    queue: str
    due_ms: float
    claim_seq: int
    function_name: str
    params: msgspec.Raw
    enqueue_time: str
    current_retries: int = 0
    max_retries: int | None = None
    timeout_seconds: float | None = None
    result_ttl_seconds: float | None = None
    dlq_name: str | None = None
    crash_count: int = 0
    trace_context: msgspec.Raw | None = None
    correlation_context: dict[str, str] | None = None
    attempts_log: bytes | None = None
    cancel_requested: bool = False
    suspect: bool = False
    started: str = ""


class Malformed(msgspec.Struct, frozen=True):
    """A leased record that must not run; its lease has to be ended with ``reason`` (F83)."""

    id: str
    queue: str
    claim_seq: int
    reason: str


class QueueReply(msgspec.Struct, frozen=True):
    """What one queue gave.

    Attributes:
        claimed: Jobs taken.
        skipped: Candidates left alone, because their runner is full, they are suspects and no place is free,
            or a foreign lock is held.
        next_ms: Due time of the queue's first job, None if it is empty now.
        resume: Where to go on when more candidates lie behind those that were left alone; empty otherwise.
            Opaque.
    """

    claimed: int
    skipped: int
    next_ms: float | None
    resume: str


class Claim(msgspec.Struct, frozen=True):
    """The reply; ``fenced`` means this orchestrator was declared dead and got nothing."""

    fenced: bool
    now_ms: int = 0
    jobs: tuple[ClaimedJob, ...] = ()
    malformed: tuple[Malformed, ...] = ()
    queues: tuple[QueueReply, ...] = ()


def claim(
    keyspace: Keyspace,
    orchestrator_id: str,
    requests: Sequence[ClaimRequest],
    free: Mapping[str, int],
    *,
    alone: Mapping[str, int] | None = None,
    dlq_name: str = "default",
    failed_ttl_seconds: float = 604_800,
    lock_extension_seconds: float | None = None,
    job_events: bool = False,
    max_payload_bytes: int = _MAX_PAYLOAD_BYTES,
    now_ms: int | None = None,
) -> ScriptCall[Claim]:
    """Return the call that leases due jobs.

    Args:
        keyspace: The keys.
        orchestrator_id: Who claims; must be registered.
        requests: The queues, in the order they are served.
        free: Free slots per runner. Jobs of a runner not named here are claimed without a limit of their
            own.
        alone: Places for suspects per runner. Those of a runner not named here take its slots.
        dlq_name: Where records go that cannot even be leased.
        failed_ttl_seconds: How long those are kept.
        lock_extension_seconds: Write the public line's job locks with this margin; None writes none.
        job_events: Write the public line's terminal events, for those records.
        max_payload_bytes: Larger params come back as malformed (F86).
        now_ms: The time to go by; None is the server's.
    """
    capacities = {**free, **{f"{runner} alone": places for runner, places in (alone or {}).items()}}
    args: list[Text] = [
        keyspace.prefix, orchestrator_id, now_arg(now_ms), _SLACK, _BYTE_BUDGET, dlq_name,
        int(failed_ttl_seconds),
        "" if lock_extension_seconds is None else int(lock_extension_seconds),
        "1" if job_events else "", len(capacities),
    ]  # fmt: skip
    for capacity, slots in capacities.items():
        args += (capacity, slots)
    for request in requests:
        args += (request.queue, request.runner, request.wanted, request.after)
    keys = (keyspace.workers, keyspace.active(orchestrator_id), keyspace.paused)
    return ScriptCall("claim", keys, tuple(args), partial(_decode, keyspace, max_payload_bytes))


def _decode(keyspace: Keyspace, max_payload_bytes: int, reply: object) -> Claim:
    parts = as_list(reply)
    if as_text(parts[0]) == "fenced":
        return Claim(fenced=True)
    jobs: list[ClaimedJob] = []
    started = as_text(parts[4])
    malformed: list[Malformed] = []
    for entry in as_list(parts[2]):
        raw_id, raw_queue, due, row = as_list(entry)
        values = cast("list[bytes | None]", row)
        queue = as_text(raw_queue)
        try:
            jobs.append(
                _read_job(
                    keyspace,
                    cast(bytes, raw_id),
                    queue,
                    float(cast(bytes, due)),
                    values,
                    max_payload_bytes,
                    started,
                )
            )
        except _Unusable as problem:
            malformed.append(Malformed(as_text(raw_id), queue, int(values[1] or 0), f"malformed: {problem}"))
    queues = tuple(_read_queue(as_list(row)) for row in as_list(parts[3]))
    return Claim(False, int(as_text(parts[1])), tuple(jobs), tuple(malformed), queues)


def _read_queue(row: Sequence[object]) -> QueueReply:
    next_up = as_text(row[2])
    return QueueReply(
        int(cast(int, row[0])), int(cast(int, row[1])), float(next_up) if next_up else None, as_text(row[3])
    )


class _Unusable(ValueError):
    """A field of the record cannot be used; the text starts with its name."""


_TEXT_MAP = msgspec.json.Decoder(dict[str, str])


def _read_job(
    keyspace: Keyspace,
    raw_id: bytes,
    queue: str,
    due_ms: float,
    row: Sequence[bytes | None],
    max_payload_bytes: int,
    started: str = "",
) -> ClaimedJob:
    (
        _,
        seq,
        _,
        name,
        params,
        enqueued,
        retries,
        max_retries,
        timeout,
        ttl,
        dlq,
        crashes,
        trace,
        correlation,
        log,
        cancel,
        suspect,
    ) = row
    field = "id"
    try:
        job_id = validate_job_id(raw_id.decode())
        field = "function_name"
        function_name = _function_name(name or b"")
        field = "job_params"
        if params is None:
            raise ValueError(_MISSING)
        if len(params) > max_payload_bytes:
            raise ValueError(f"{len(params)} bytes, the limit is {max_payload_bytes} (max_payload_bytes)")
        raw_params = strict_json.check_object(params, field)
        field = "enqueue_time"
        enqueue_time = _instant(enqueued or b"")
        field = "current_retries"
        current_retries = _count(retries or b"")
        field = "max_retries"
        attempts = _count(max_retries or b"")
        field = "job_timeout_seconds"
        timeout_seconds = _timeout(timeout or b"")
        field = "current_retries"
        # As many as allowed may be spent: the public line leaves them so when it requeues.
        if current_retries > attempts:
            spent = f"{current_retries} of {attempts} attempts are spent"
            raise ValueError(f"{spent}; `rrq dlq requeue` gives them back")
        field = "result_ttl_seconds"
        ttl_seconds = _seconds(ttl) if ttl else None
        field = "crash_count"
        crash_count = _count(crashes) if crashes else 0
        field = "trace_context"
        if trace:
            _TEXT_MAP.decode(trace)
        field = "dlq_name"
        dlq_name = validate_queue_name(keyspace.dlq_name(dlq.decode())) if dlq else None
        field = "correlation_context"
        return ClaimedJob(
            job_id,
            queue,
            due_ms,
            int(seq or 0),
            function_name,
            raw_params,
            enqueue_time,
            current_retries,
            attempts,
            timeout_seconds,
            ttl_seconds,
            dlq_name,
            crash_count,
            msgspec.Raw(trace) if trace else None,
            _TEXT_MAP.decode(correlation) if correlation else None,
            log,
            cancel is not None,
            suspect is not None,
            started,
        )
    except (InvalidName, NotSerialisable, ValueError, RecursionError) as error:
        raise _Unusable(f"{field}: {error}") from None


# What the script answers of a record, in order. Two fields more decide there, before the lease.
_ROW = (
    "status", "claim_seq", "queue_name", "function_name", "job_params", "enqueue_time", "current_retries",
    "max_retries", "job_timeout_seconds", "result_ttl_seconds", "dlq_name", "crash_count", "trace_context",
    "correlation_context", "attempts_log", "cancel_requested_at", "suspect",
)  # fmt: skip


def problem_of(
    keyspace: Keyspace,
    job_id: bytes,
    fields: Mapping[str, bytes],
    *,
    max_payload_bytes: int = _MAX_PAYLOAD_BYTES,
) -> str | None:
    """Return why a claim will fail a record that waits, beginning with the field; None where it will
    run (F83).

    It says beforehand what the script and the reader of its reply say then. Fields that may be missing need
    not be given.
    """
    try:
        _check_lease(job_id, fields)
        _read_job(keyspace, job_id, "", 0.0, [fields.get(name) for name in _ROW], max_payload_bytes)
    except _Unusable as problem:
        return str(problem)
    return None


def _check_lease(job_id: bytes, fields: Mapping[str, bytes]) -> None:
    if fields.get("id") != job_id:
        raise _Unusable("id: not that of its key")
    for name in ("job_unique_key", "queue_name"):
        if _controls(fields.get(name, b"")):
            raise _Unusable(f"{name}: holds control characters")
    try:
        if "claim_seq" in fields and _count(fields["claim_seq"]) >= _LAST_SEQ:
            raise ValueError("no claim can follow it")
    except ValueError as error:
        raise _Unusable(f"claim_seq: {error}") from None


_controls = re.compile(rb"[\x00-\x1f\x7f]").search


def _remembering(read: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """Return ``read`` with a memory: jobs of one installation share most of their small fields.

    Errors are not remembered, nor long texts, which a hostile writer could make us keep.
    """
    remembered = lru_cache(maxsize=512)(read)

    def read_field(raw: bytes) -> T:
        return remembered(raw) if len(raw) <= _REMEMBERED_BYTES else read(raw)

    return read_field


def _read_instant(raw: bytes) -> str:
    text = raw.decode()
    read_time(text)
    return text


def _read_timeout(raw: bytes) -> float:
    seconds = read_seconds(_given(raw))
    if seconds == 0:
        raise ValueError("expected more than 0 seconds")
    return min(seconds, MAX_TIMEOUT_SECONDS)


def _given(raw: bytes) -> str:
    if not raw:
        raise ValueError(_MISSING)
    return raw.decode()


_MISSING = "missing"
_REMEMBERED_BYTES = 64
_function_name = _remembering(lambda raw: validate_function_name(raw.decode()))
_instant = _remembering(_read_instant)
_count = _remembering(lambda raw: read_count(_given(raw)))
_seconds = _remembering(lambda raw: read_seconds(raw.decode()))
_timeout = _remembering(_read_timeout)
