"""Job hashes that somebody else wrote, read by the parser (RELIABILITY.md F83, F84, G15)."""

from collections.abc import Hashable, Iterable
from datetime import UTC
from typing import Any

import msgspec

from rrq_protocol import JobRecord, JobResult, JobStatus, MalformedRecord, parse_record
from support.fuzzing import Fuzz
from support.fuzzing.records import RECORDS, raw_hash
from support.fuzzing.text import check_one_line

SHARE = 1 / 6  # 50,000 of 300,000
REQUIRED = ("id", "function_name", "job_params", "enqueue_time", "status")
COUNTS = ("current_retries", "max_retries", "claim_seq", "crash_count")
SECONDS = ("job_timeout_seconds", "result_ttl_seconds")
TIMES = ("enqueue_time", "next_scheduled_run_time", "start_time", "completion_time", "cancel_requested_at")
TEXTS = (
    "id", "function_name", "queue_name", "result", "last_error", "dlq_name", "worker_id", "job_unique_key",
)  # fmt: skip
UNSET: dict[str, Any] = msgspec.structs.asdict(
    JobRecord(id="", function_name="", params="", status=JobStatus.PENDING, enqueue_time=None)  # type: ignore[arg-type]
)


def check(case: Any) -> Iterable[Hashable]:
    """Read one hash: it is refused by name, or every field is what is stored."""
    fields = raw_hash(case)
    try:
        record = parse_record(fields)
    except MalformedRecord as error:
        check_one_line(error)
        return [(error.field, error.problem[:20])]
    stored = {name.decode(errors="replace"): value for name, value in fields.items()}
    assert set(REQUIRED) <= set(stored)
    assert record.params.encode() == stored["job_params"]
    for name in COUNTS:
        _same(record, stored, name, int)
    for name in SECONDS:
        _same(record, stored, name, float)
    for name in TEXTS:
        _same(record, stored, name, bytes.decode)
    for name in TIMES:
        moment = getattr(record, name)
        assert moment is None or moment.tzinfo is UTC
        assert (moment is None) == (not stored.get(name))
    return [*_outcomes(record), *(name for name in stored if name in UNSET)]


def _same(record: JobRecord, stored: dict[str, bytes], name: str, read: Any) -> None:
    """A field is what is stored, or what stands for nothing where nothing is stored; never a guess."""
    raw = stored.get(name)
    assert getattr(record, name) == (
        read(raw) if raw or (raw is not None and name in REQUIRED) else UNSET[name]
    )


def _outcomes(record: JobRecord) -> list[Hashable]:
    found: list[Hashable] = [record.status, min(len(record.attempts), 2), bool(record.extra)]
    try:
        found.append(JobResult.of(record).status)
    except MalformedRecord as error:
        found.append(error.field)
    return found


def test_a_stored_hash_is_read_exactly_or_refused(fuzz: Fuzz) -> None:
    """Whatever a hash holds: the parser raises MalformedRecord and nothing else, in one printable line, or
    returns what is stored, without a guess.
    """
    report = fuzz.run("records", RECORDS, check, share=SHARE)
    if fuzz.only is None:
        assert {*JobStatus, *((name, "missing") for name in REQUIRED)} <= set(report.outcomes)
