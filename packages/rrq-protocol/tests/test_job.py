"""The job record: parsing what any implementation may have stored."""

import contextlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrq_protocol import JobResult, JobStatus, MalformedRecord, new_job_id, parse_record
from rrq_protocol.job import read_attempts, read_count, read_seconds, read_status, read_time

WHOLE: dict[bytes, bytes] = {
    b"id": b"j",
    b"function_name": b"mail#send",
    b"job_params": '{"to":"é"}'.encode(),
    b"enqueue_time": b"2026-01-01T12:00:00.123456789+02:00",
    b"status": b"FAILED",
    b"current_retries": b"2",
    b"max_retries": b"5",
    b"next_scheduled_run_time": b"2026-01-01T10:00:01Z",
    b"start_time": b"2026-01-01T10:00:01.5Z",
    b"completion_time": b"2026-01-01T10:00:02Z",
    b"job_timeout_seconds": b"0.5",
    b"result_ttl_seconds": b"0",
    b"queue_name": b"rrq:queue:default",
    b"result": b"null",
    b"last_error": b"oops",
    b"dlq_name": b"default",
    b"worker_id": b"w",
    b"job_unique_key": b"u",
    b"trace_context": b'{"traceparent":"00-1"}',
    b"claim_seq": b"7",
    b"crash_count": b"1",
    b"payload_digest": b"abc",
    b"attempts_log": b'[{"attempt":1,"outcome":"retry","message":"oops","new_field":1}]',
    b"x_note": b"kept",
}


def test_a_whole_record_is_read() -> None:
    """Every known field becomes its type, unknown fields are kept as text."""
    record = parse_record(WHOLE)
    assert (record.id, record.function_name, record.params) == ("j", "mail#send", '{"to":"é"}')
    assert record.status is JobStatus.FAILED
    assert record.enqueue_time == datetime(2026, 1, 1, 10, 0, 0, 123457, UTC)
    assert (record.current_retries, record.max_retries, record.claim_seq, record.crash_count) == (2, 5, 7, 1)
    assert (record.job_timeout_seconds, record.result_ttl_seconds) == (0.5, 0.0)
    assert record.start_time == datetime(2026, 1, 1, 10, 0, 1, 500_000, UTC)
    assert (record.worker_id, record.job_unique_key, record.dlq_name) == ("w", "u", "default")
    assert [(each.attempt, each.outcome, each.message) for each in record.attempts] == [(1, "retry", "oops")]
    assert record.extra == {"x_note": "kept"}


def test_the_least_record_is_read() -> None:
    """Five fields make a job; everything else is absent or zero."""
    record = parse_record({name: WHOLE[name] for name in list(WHOLE)[:5]})
    assert (record.max_retries, record.current_retries, record.attempts, record.extra) == (None, 0, (), {})


@pytest.mark.parametrize("name", ["id", "function_name", "job_params", "enqueue_time", "status"])
def test_a_missing_field_is_named(name: str) -> None:
    """Without one of the required fields there is no job to show (F83)."""
    with pytest.raises(MalformedRecord) as caught:
        parse_record({key: value for key, value in WHOLE.items() if key != name.encode()})
    assert (caught.value.field, caught.value.problem) == (name, "missing")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", b"DONE"),
        ("status", b""),
        ("enqueue_time", b"yesterday"),
        ("enqueue_time", b"2026-01-01T12:00:00"),
        ("enqueue_time", b"0001-01-01T00:00:00+10:00"),
        ("current_retries", b"-1"),
        ("max_retries", b"1e3"),
        ("claim_seq", b"9" * 20),
        ("job_timeout_seconds", b"nan"),
        ("result_ttl_seconds", b"-1"),
        ("function_name", b"\xff"),
    ],
)
def test_an_unreadable_field_is_named(name: str, value: bytes) -> None:
    """The error says which field, of which job, and what was expected."""
    with pytest.raises(MalformedRecord) as caught:
        parse_record({**WHOLE, name.encode(): value})
    assert (caught.value.job_id, caught.value.field) == ("j", name)
    assert caught.value.problem


@pytest.mark.parametrize("name", ["start_time", "max_retries", "worker_id", "claim_seq", "attempts_log"])
def test_an_empty_field_is_an_absent_one(name: str) -> None:
    """Some writers store None as an empty text."""
    with_empty = parse_record({**WHOLE, name.encode(): b""})
    without = parse_record({key: value for key, value in WHOLE.items() if key != name.encode()})
    assert with_empty == without


def test_unknown_fields_may_hold_anything() -> None:
    """What is not ours to understand cannot make a job unreadable."""
    assert parse_record({**WHOLE, b"x": b"\xff\x00", b"params": b"?"}).extra["x"] == "\\xff\x00"


@given(st.dictionaries(st.sampled_from(sorted(WHOLE)), st.binary(max_size=40)))
def test_any_bytes_are_read_or_refused(changes: dict[bytes, bytes]) -> None:
    """Whatever a hash holds, there is a record or a MalformedRecord, never another error (F83)."""
    with contextlib.suppress(MalformedRecord):
        assert parse_record({**WHOLE, **changes}).id is not None


@pytest.mark.parametrize(
    ("result", "value"), [(b"null", None), (b'{"a":[1]}', {"a": [1]}), (b"0", 0), (b"", None)]
)
def test_a_result_is_decoded(result: bytes, value: Any) -> None:
    """A waiter gets the value the handler returned, with status, error and attempts."""
    outcome = JobResult.of(parse_record({**WHOLE, b"result": result}))
    assert outcome == JobResult("j", JobStatus.FAILED, value, "oops", 2)


@pytest.mark.parametrize("result", [b"{", b"nul", b"[" * 5000])
def test_a_result_that_is_no_json_is_malformed(result: bytes) -> None:
    """It is reported like any other bad field."""
    with pytest.raises(MalformedRecord, match="result"):
        JobResult.of(parse_record({**WHOLE, b"result": result}))


@pytest.mark.parametrize("text", [None, "", b"", "{", b"\xff", "[" * 5000, '[{"attempt":"x"}]', "{}"])
def test_an_unreadable_log_is_an_empty_one(text: str | bytes | None) -> None:
    """The log of attempts decides nothing, so damage to it costs only itself."""
    assert read_attempts(text) == ()


@pytest.mark.parametrize("status", list(JobStatus))
def test_three_states_are_terminal(status: JobStatus) -> None:
    """Only ended jobs do not run again unaided."""
    assert status.is_terminal == (status.value in {"COMPLETED", "FAILED", "CANCELLED"})


def test_new_ids_are_sorted_by_time_and_unique() -> None:
    """Ids are version 7 UUIDs: their text sorts by the ms they were made in."""
    ids = [new_job_id(now_ms) for now_ms in (0, 1, 1_767_268_800_000, (1 << 48) - 1)]
    assert ids == sorted(ids)
    assert all(each[14] == "7" and each[19] in "89ab" and len(each) == 36 for each in ids)
    assert len({new_job_id(5) for _ in range(1000)}) == 1000
    assert new_job_id()[:5] == new_job_id()[:5]


_FORKING = """
import os
from rrq_protocol import new_job_id

new_job_id()
if child := os.fork():
    os.waitpid(child, 0)  # so that their lines do not mix
print("\\n".join(new_job_id(0) for _ in range(100)), flush=True)
"""


def test_a_forked_child_makes_ids_of_its_own() -> None:
    """What is in store when a process forks is used by the parent only."""
    command = [sys.executable, "-W", "error", "-c", _FORKING]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert len(set(done.stdout.split())) == 200


def test_threads_share_no_ids() -> None:
    """Any number of threads may ask at a time, also while more ids are made."""
    with ThreadPoolExecutor(8) as threads:
        made = [*threads.map(lambda _: [new_job_id(0) for _ in range(2000)], range(8))]
    assert len({job_id for some in made for job_id in some}) == 16_000


def test_ids_are_random_in_every_place() -> None:
    """Each digit that is not fixed takes each of its values."""
    ids = [new_job_id(0) for _ in range(2000)]
    for place in range(15, 36):
        seen = {job_id[place] for job_id in ids}
        assert seen in ({"-"}, set("89ab"), set("0123456789abcdef")), place


@pytest.mark.parametrize(
    ("read", "good", "value"),
    [
        (read_count, "0", 0),
        (read_count, "123456789012345", 123456789012345),
        (read_seconds, "1.5", 1.5),
        (read_seconds, "1e308", 1e308),
        (read_status, "ACTIVE", JobStatus.ACTIVE),
        (read_time, "2026-01-01T00:00:00+01:00", datetime(2025, 12, 31, 23, tzinfo=UTC)),
    ],
)
def test_fields_are_read(read: Any, good: str, value: Any) -> None:
    """Each reader gives the value in its own type."""
    assert read(good) == value


@pytest.mark.parametrize(
    ("read", "bad"),
    [
        (read_count, ""),
        (read_count, "+1"),
        (read_count, "٣"),
        (read_count, "1" * 16),
        (read_seconds, "inf"),
        (read_seconds, "1,5"),
        (read_seconds, "1_0"),
        (read_seconds, "٣"),
        (read_seconds, "\u20281"),
        (read_status, "active"),
        (read_time, "2026-13-01T00:00:00Z"),
    ],
)
def test_bad_fields_say_what_was_expected(read: Any, bad: str) -> None:
    """Each reader raises ValueError with the expectation and what came, cut short."""
    with pytest.raises(ValueError, match="expected"):
        read(bad)
