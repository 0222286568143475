"""Job hashes as fuzz inputs: objects of field and value, each character one byte."""

from collections.abc import Mapping
from typing import Any

from support.fuzzing.shapes import Tree

__all__ = ["RECORDS", "raw_hash", "raw_text"]

_FIELDS = (
    "id", "function_name", "job_params", "status", "enqueue_time", "queue_name", "current_retries",
    "max_retries", "job_timeout_seconds", "result_ttl_seconds", "next_scheduled_run_time", "start_time",
    "completion_time", "result", "last_error", "dlq_name", "worker_id", "job_unique_key", "trace_context",
    "correlation_context", "claim_seq", "crash_count", "suspect", "cancel_requested_at", "payload_digest",
    "attempts_log", "releases_log",
)  # fmt: skip
_LATE = 99_999_999_999_999_999
_VALUES = (
    "PENDING", "ACTIVE", "RETRYING", "COMPLETED", "FAILED", "CANCELLED", "pending",
    "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59-14:00",
    "2026-02-30T00:00:00Z", "1767268800", "-0001-01-01T00:00:00Z", "python#f", "#f", "python#", "a#b#c",
    '{"x": 1}', "[1]", "null", '{"x": NaN}', '{"x": 1e999}', '{"x": "\\ud800"}', '{"x": 1, "x": 2}',
    '{"args": [1]}', '{"a": "b"}', '{"a": 1}', "[]", '[{"attempt": 1, "outcome": "retry", "message": "m"}]',
    f'[{{"attempt":1,"outcome":"failed","message":"\\u001b[2J","started_at_ms":1,"ended_at_ms":{_LATE}}}]',
    f'[{{"attempt":-1,"outcome":"\\n","message":"","retry_at_ms":{-_LATE},"claim_seq":{_LATE}}}]', "0", "-1",
    "1e308", "9223372036854775807", "inf", "nan", "abc", "1.5", "default", "..", "a:b", "*",
    "rrq:queue:default",
)  # fmt: skip

RECORDS = Tree([each.encode() for each in (*_FIELDS, *_VALUES)])


def raw_text(value: Any) -> bytes:
    """Return the bytes an input's value stands for; one that is no text stands for its decimal form."""
    text = value if isinstance(value, str) else str(value)
    return (
        text.encode("latin-1")
        if text.isascii() or max(text) <= "\xff"
        else text.encode(errors="surrogatepass")
    )


def raw_hash(case: Any) -> Mapping[bytes, bytes]:
    """Return the hash an input stands for; names that start with ``@`` are directions for the check."""
    if not isinstance(case, dict):
        return {}
    return {raw_text(name): raw_text(value) for name, value in case.items() if not name.startswith("@")}
