"""Job hashes to shapes. A hash nobody can parse is shown with what is wrong, and stops nothing."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
from redis import exceptions

from rrq_cli.exits import fail
from rrq_cli.shapes import JobDetail, JobRow
from rrq_cli.store.client import Store
from rrq_protocol import JobRecord, Keyspace, MalformedRecord, parse_record, validate_job_id

__all__ = ["detail", "fields_of", "key_problem", "read_detail", "read_named", "read_rows", "row", "time_of"]

RawHash = Mapping[bytes, bytes]


def text_of(raw: bytes) -> str:
    """Return stored bytes as text; what is no UTF-8 shows as ``\\xff``."""
    return raw.decode("utf-8", "backslashreplace")


def key_problem(reply: object, expected: str) -> str | None:
    """Return what is wrong with a key, judged by an error reply; None for any other reply."""
    if not isinstance(reply, Exception):
        return None
    if isinstance(reply, exceptions.ResponseError) and str(reply).startswith("WRONGTYPE"):
        return f"the key has the wrong type; expected a {expected}"
    return " ".join(str(reply).split())


def time_of(epoch_ms: float | None) -> datetime | None:
    """Return an instant, or None where there is none or no calendar has it."""
    try:
        return None if epoch_ms is None else datetime.fromtimestamp(epoch_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def fields_of(reply: RawHash) -> dict[str, str]:
    """Return a hash as text, in the order of its fields' names; Redis has none."""
    return dict(sorted((text_of(name), text_of(value)) for name, value in reply.items()))


def row(keys: Keyspace, job_id: str, reply: object) -> JobRow:
    """Return the list entry of a job whose hash was read; ``reply`` may be an error."""
    if (problem := key_problem(reply, "hash")) is not None:
        return JobRow(id=job_id, problem=problem)
    fields = cast("RawHash", reply)
    if not fields:
        return JobRow(id=job_id, problem="there is no record of this job any more")
    try:
        record = parse_record(fields)
    except MalformedRecord as error:
        return JobRow(
            id=job_id, problem=f"malformed {error.field}: {error.problem}", **_readable(keys, fields)
        )
    return JobRow(id=job_id, problem=_mismatch(job_id, record), **_row_fields(keys, record))


def _mismatch(job_id: str, record: JobRecord) -> str | None:
    return None if record.id == job_id else f"the record names another id: {record.id}"


def _row_fields(keys: Keyspace, record: JobRecord) -> dict[str, Any]:
    return {
        "status": record.status.value,
        "function_name": record.function_name,
        "queue_name": None if record.queue_name is None else keys.queue_name(record.queue_name),
        "attempts": record.attempts_made,
        "max_attempts": record.max_retries,
        "enqueued_at": record.enqueue_time,
        "due_at": record.next_scheduled_run_time,
        "started_at": record.start_time,
        "finished_at": record.completion_time,
        "worker_id": record.worker_id,
        "last_error": record.last_error,
    }


def _readable(keys: Keyspace, fields: RawHash) -> dict[str, Any]:
    """Return the texts of a malformed hash that need no parsing."""
    texts = fields_of(fields)
    queue = texts.get("queue_name")
    return {
        "status": texts.get("status"),
        "function_name": texts.get("function_name"),
        "queue_name": None if queue is None else keys.queue_name(queue),
        "last_error": texts.get("last_error"),
    }


def read_rows(store: Store, job_ids: Sequence[str]) -> list[JobRow]:
    """Return the list entries of jobs, in the order asked, in one round trip."""
    replies = store.ask(*(("HGETALL", store.keys.job(job_id)) for job_id in job_ids))
    return [row(store.keys, job_id, reply) for job_id, reply in zip(job_ids, replies, strict=True)]


def read_named(store: Store, job_ids: Sequence[str]) -> list[JobRow]:
    """Return which function and queue jobs belong to, and nothing else, in the order asked, in one round
    trip.
    """
    replies = store.ask(*(("HMGET", store.keys.job(each), "function_name", "queue_name") for each in job_ids))
    return [_named(store.keys, job_id, reply) for job_id, reply in zip(job_ids, replies, strict=True)]


def _named(keys: Keyspace, job_id: str, reply: object) -> JobRow:
    if (problem := key_problem(reply, "hash")) is not None:
        return JobRow(id=job_id, problem=problem)
    function, queue = (None if raw is None else text_of(raw) for raw in cast("Sequence[bytes | None]", reply))
    return JobRow(
        id=job_id, function_name=function, queue_name=None if queue is None else keys.queue_name(queue)
    )


def detail(keys: Keyspace, job_id: str, fields: RawHash, ttl_ms: int) -> JobDetail:
    """Return everything about one job."""
    base = msgspec.structs.asdict(row(keys, job_id, fields))
    result = JobDetail(
        **base, fields=fields_of(fields), expires_in_seconds=ttl_ms / 1000 if ttl_ms >= 0 else None
    )
    try:
        record = parse_record(fields)
    except MalformedRecord:
        return result
    result.params, result.result = _decoded(record.params), _decoded(record.result)
    result.dlq_name = None if record.dlq_name is None else keys.dlq_name(record.dlq_name)
    result.crashes, result.claim_seq = record.crash_count, record.claim_seq
    result.failed_attempts = [msgspec.to_builtins(entry) for entry in record.attempts]
    return result


def _decoded(text: str | None) -> Any:
    """Return JSON decoded, or the text itself where it is none."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return text


def read_hash(store: Store, job_id: str) -> tuple[RawHash, int]:
    """Return one job's hash and its time to live in ms (negative: none).

    Raises:
        CliError: There is no such job, or its key holds something else.
    """
    name = validate_job_id(job_id)
    reply, ttl = store.ask(("HGETALL", store.keys.job(name)), ("PTTL", store.keys.job(name)))
    if (problem := key_problem(reply, "hash")) is not None:
        fail(f"job {name}: {store.keys.job(name)}: {problem}")
    if not reply:
        missing = f"there is no job {name} at {store.display} (prefix {store.keys.prefix}); "
        remark = "" if store.remark is None else f"\n{store.remark}"
        fail(f"{missing}finished jobs are kept for a time only{remark}")
    return cast("RawHash", reply), cast(int, ttl)


def read_detail(store: Store, job_id: str) -> JobDetail:
    """Return everything about one job.

    Raises:
        CliError: There is no such job, or its key holds something else.
    """
    fields, ttl = read_hash(store, job_id)
    return detail(store.keys, job_id, fields, ttl)
