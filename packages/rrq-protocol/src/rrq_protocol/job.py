"""The job record: what a producer asks for, what Redis stores, what a reader gets back (REDIS_SCHEMA.md).

All fields are text in a Redis hash. :func:`parse_record` reads a whole record for display and waiting; the
claim script's rows are read in :mod:`rrq_protocol.transitions.claim`, with the readers of single fields that
live here. A record does no I/O.
"""

import math
import os
import re
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec

from rrq_protocol.errors import MalformedRecord

__all__ = [
    "MAX_TIMEOUT_SECONDS",
    "AttemptEntry",
    "Job",
    "JobRecord",
    "JobResult",
    "JobStatus",
    "new_job_id",
    "parse_record",
    "read_attempts",
]

MAX_TIMEOUT_SECONDS = 365 * 86_400.0
"""A longer timeout in a foreign record is taken for this one; no arithmetic on it can overflow (F84)."""


class JobStatus(StrEnum):
    """Where a job stands (REDIS_SCHEMA.md *States*)."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    RETRYING = "RETRYING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_terminal(self) -> bool:
        """Whether the job will not run again unaided."""
        return self in _TERMINAL


_TERMINAL = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})


class Job(msgspec.Struct, frozen=True):
    """What a producer asks for. ``None`` means the default of the settings.

    Attributes:
        function_name: Handler name, ``runner#handler`` to name the runner as well.
        params: The JSON object the handler's parameters are bound from.
        queue_name: Bare queue name.
        job_id: Id of the caller's choice; the same id with the same content is accepted once.
        unique_key: While a job of this key has not ended, no second one is accepted.
        unique_ttl_seconds: How long the key outlives the time at which its job is due, or has to end, where
            nobody gives it back; the end of the job does.
        max_retries: Attempts in all, at least 1.
        job_timeout_seconds: Time one attempt may take, from its dispatch.
        result_ttl_seconds: How long a completed job is kept; 0 keeps it.
        defer_by: Earliest start from now: seconds or a timedelta. Not together with ``defer_until``.
        defer_until: Earliest start, a datetime with a zone.
        trace_context: Propagation headers for tracing.
        correlation_context: Names and values to be found again in traces and logs.
        on_conflict: ``"return_existing"`` or ``"raise"``, when the unique key or the id is taken by an equal
            job.
    """

    function_name: str
    params: Mapping[str, Any] = {}
    queue_name: str | None = None
    job_id: str | None = None
    unique_key: str | None = None
    unique_ttl_seconds: float | timedelta | None = None
    max_retries: int | None = None
    job_timeout_seconds: float | timedelta | None = None
    result_ttl_seconds: float | timedelta | None = None
    defer_by: float | timedelta | None = None
    defer_until: datetime | None = None
    trace_context: Mapping[str, str] | None = None
    correlation_context: Mapping[str, str] | None = None
    on_conflict: str = "return_existing"


class AttemptEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One failed attempt in ``attempts_log``, or a start in ``releases_log``; times are epoch ms.

    ``outcome`` is ``retry``, ``failed``, ``timeout`` or ``crash``; or ``released`` of a start that was given
    back, whose ``message`` is why. ``retry_at_ms`` is set if another attempt was scheduled, ``trace`` (a W3C
    ``traceparent``) where the attempt was traced.
    """

    attempt: int
    outcome: str
    message: str
    type: str | None = None
    traceback: str | None = None
    started_at_ms: int | None = None
    ended_at_ms: int | None = None
    retry_at_ms: int | None = None
    worker: str | None = None
    runner: str | None = None
    claim_seq: int | None = None
    trace: str | None = None


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it is stored, parsed.

    ``params``, ``result`` and the contexts stay JSON text; ``job_unique_ttl_seconds`` and ``calls``, which
    only scripts use, are not looked at; ``extra`` keeps unknown fields.
    """

    id: str
    function_name: str
    params: str
    status: JobStatus
    enqueue_time: datetime
    queue_name: str | None = None
    current_retries: int = 0
    max_retries: int | None = None
    job_timeout_seconds: float | None = None
    result_ttl_seconds: float | None = None
    next_scheduled_run_time: datetime | None = None
    start_time: datetime | None = None
    completion_time: datetime | None = None
    result: str | None = None
    last_error: str | None = None
    dlq_name: str | None = None
    worker_id: str | None = None
    runner: str | None = None
    job_unique_key: str | None = None
    job_unique_ttl_seconds: str | None = None
    calls: str | None = None
    trace_context: str | None = None
    correlation_context: str | None = None
    claim_seq: int = 0
    crash_count: int = 0
    suspect: bool = False
    cancel_requested_at: datetime | None = None
    payload_digest: str | None = None
    attempts: tuple[AttemptEntry, ...] = ()
    releases: tuple[AttemptEntry, ...] = ()
    extra: dict[str, str] = {}

    @property
    def attempts_made(self) -> int:
        """Attempts that were charged, and the one that runs or succeeded. ``current_retries`` counts the
        former only, as in the public line; crashes and releases count apart.
        """
        return self.current_retries + (self.status in (JobStatus.ACTIVE, JobStatus.COMPLETED))


class JobResult(msgspec.Struct, frozen=True):
    """What a waiter or a status query gets.

    Attributes:
        id: The job's id.
        status: Where it stands.
        result: The handler's result, decoded; None until it completed.
        last_error: The last attempt's error text, if it did not succeed.
        attempts: Attempts made, the successful one included.
    """

    id: str
    status: JobStatus
    result: Any = None
    last_error: str | None = None
    attempts: int = 0

    @classmethod
    def of(cls, record: JobRecord) -> "JobResult":
        """Return the result part of a record.

        Raises:
            MalformedRecord: The stored result is not JSON.
        """
        try:
            value = msgspec.json.decode(record.result) if record.result else None
        except (msgspec.DecodeError, RecursionError) as error:
            raise MalformedRecord(record.id, "result", "not JSON") from error
        return cls(record.id, record.status, value, record.last_error, record.attempts_made)


def new_job_id(now_ms: int | None = None) -> str:
    """Return a new time-ordered id (UUID version 7): ids of one producer sort by their time."""
    stamp = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    return f"{_time_part(stamp & ((1 << 48) - 1))}-{_random_part()}"


@lru_cache(maxsize=16)
def _time_part(stamp: int) -> str:
    text = f"{stamp:012x}"
    return f"{text[:8]}-{text[8:]}"


_ID_BLOCK = 64
# What ids in store are made of, and the process they were made in: a forked child must not use them too. Any
# number of threads may take from it at a time.
_stored_ids: tuple[int, deque[str]] = 0, deque()


def _random_part() -> str:
    """Return what follows the time in an id; the system is asked for many at a time."""
    global _stored_ids
    pid, stored = _stored_ids
    if pid != os.getpid():
        stored = deque()
        _stored_ids = os.getpid(), stored
    try:
        return stored.pop()
    except IndexError:
        fresh = os.urandom(10 * _ID_BLOCK).hex()
        stored.extend(_random_text(fresh[at : at + 20]) for at in range(20, len(fresh), 20))
        return _random_text(fresh[:20])


def _random_text(digits: str) -> str:
    # The first digit gives way to the version, and two bits of the fifth to the variant.
    return f"7{digits[1:4]}-{_VARIANT[digits[4]]}{digits[5:8]}-{digits[8:]}"


_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


# Readers of single fields. Each takes the stored text and raises ValueError with what is wrong with it.


def read_count(text: str) -> int:
    """Return a whole number >= 0.

    Raises:
        ValueError: It is anything else, or longer than any real count.
    """
    if len(text) > 15 or not text.isascii() or not text.isdigit():
        raise ValueError(f"expected a whole number >= 0, got {text[:40]!r}")
    return int(text)


# float() also takes other scripts' digits, underscores and white space of any kind.
_is_decimal = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?").fullmatch


def read_seconds(text: str) -> float:
    """Return a duration in seconds, finite and >= 0.

    Raises:
        ValueError: It is anything else.
    """
    if _is_decimal(text) is None:
        raise ValueError(f"expected seconds, got {text[:40]!r}")
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"expected seconds >= 0, got {text[:40]!r}")
    return value


def read_time(text: str) -> datetime:
    """Return an RFC 3339 instant, in UTC.

    Raises:
        ValueError: It is anything else, or has no zone.
    """
    try:
        value = msgspec.convert(text, datetime)
        aware = value.astimezone(UTC) if value.tzinfo is not None else None
    except (msgspec.ValidationError, OverflowError, ValueError):
        raise ValueError(f"expected an RFC 3339 time, got {text[:40]!r}") from None
    if aware is None:
        raise ValueError(f"expected a time with a zone, got {text[:40]!r}")
    return aware


def read_status(text: str) -> JobStatus:
    """Return the status.

    Raises:
        ValueError: There is no such status.
    """
    try:
        return JobStatus(text)
    except ValueError:
        raise ValueError(f"expected one of {', '.join(JobStatus)}, got {text[:40]!r}") from None


_ATTEMPTS = msgspec.json.Decoder(tuple[AttemptEntry, ...])
_READERS: dict[str, Any] = {
    "status": read_status,
    "enqueue_time": read_time,
    "current_retries": read_count,
    "max_retries": read_count,
    "job_timeout_seconds": read_seconds,
    "result_ttl_seconds": read_seconds,
    "next_scheduled_run_time": read_time,
    "start_time": read_time,
    "completion_time": read_time,
    "claim_seq": read_count,
    "crash_count": read_count,
    "suspect": bool,
    "cancel_requested_at": read_time,
}
_REQUIRED = ("id", "function_name", "job_params", "enqueue_time", "status")
_RENAMED = {"job_params": "params"}
_KNOWN = frozenset(JobRecord.__struct_fields__) - {"attempts", "releases", "extra"}


def read_attempts(text: str | bytes | None) -> tuple[AttemptEntry, ...]:
    """Return the entries of an ``attempts_log`` or ``releases_log`` field.

    An unreadable log is an empty one, for it decides nothing.
    """
    if not text:
        return ()
    try:
        return _ATTEMPTS.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ()


def parse_record(fields: Mapping[bytes, bytes]) -> JobRecord:
    """Return the record in a job hash as ``HGETALL`` gives it.

    A field that may be missing may be empty as well, which is how some writers say None. Unknown fields are
    kept as text, whatever they hold.

    Raises:
        MalformedRecord: A field is missing or unreadable; it names the first one (F83).
    """
    texts = {key.decode("utf-8", "replace"): value for key, value in fields.items()}
    job_id = texts.get("id", b"").decode("utf-8", "replace")
    for name in _REQUIRED:
        if name not in texts:
            raise MalformedRecord(job_id, name, "missing")
    known: dict[str, Any] = {
        "attempts": read_attempts(texts.pop("attempts_log", None)),
        "releases": read_attempts(texts.pop("releases_log", None)),
    }
    extra: dict[str, str] = {}
    for name, raw in texts.items():
        attribute = _RENAMED.get(name, name)
        if attribute not in _KNOWN:
            extra[name] = raw.decode("utf-8", "backslashreplace")
            continue
        if not raw and name not in _REQUIRED:
            continue
        try:
            text = raw.decode("utf-8")
            known[attribute] = _READERS[name](text) if name in _READERS else text
        except UnicodeDecodeError:
            raise MalformedRecord(job_id, name, "not UTF-8") from None
        except ValueError as error:
            raise MalformedRecord(job_id, name, str(error)) from None
    return JobRecord(**known, extra=extra)
