"""Jobs on 80 columns: lists, one job, its life."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from rrq_cli.shapes import JobDetail, JobList, JobRow
from rrq_cli.timeline import Trace, TraceEvent
from rrq_cli.views.jobs import print_block, show_detail, show_list, show_trace
from support.cli import HOSTILE

Show = Callable[..., str]
ID = "0198f3c2-1c5e-7a31-9a52-6d0ef4a1b001"


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of day are those of UTC."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def test_a_list_of_jobs(shown_at_80: Show) -> None:
    """Ids are whole, several queues are named, a broken entry says below what is wrong."""
    jobs = [
        JobRow(
            id=ID,
            status="COMPLETED",
            function_name="send_email",
            queue_name="default",
            attempts=1,
            max_attempts=5,
        ),
        JobRow(id="odd", queue_name="media", problem="the key has the wrong type; expected a hash"),
    ]
    jobs[0].finished_at = datetime.now(UTC) - timedelta(minutes=4, seconds=30)
    text = shown_at_80(show_list, JobList(jobs=jobs, looked_at=2))
    lines = text.splitlines()
    assert lines[0].split() == ["Job", "Status", "Function", "Queue", "Tries", "Age"]
    assert lines[2].split() == [ID, "COMPLETED", "send_email", "default", "1/5", "4", "m"]
    assert lines[3].split() == ["odd", "broken", "–", "media", "–", "–"]
    assert lines[4] == "! odd: the key has the wrong type; expected a hash"
    assert max(map(len, lines)) <= 80


def test_one_queue_needs_no_column(shown_at_80: Show) -> None:
    """Where all jobs are of one queue, its name does not take the room."""
    text = shown_at_80(show_list, JobList(jobs=[JobRow(id=ID, status="ACTIVE", queue_name="q")], looked_at=1))
    assert "Queue" not in text
    assert "among the 7 looked at" in shown_at_80(show_list, JobList(looked_at=7))


def test_long_ids_are_folded_never_cut(shown_at_80: Show) -> None:
    """An id of the greatest length is there to the last character."""
    long = "x" * 128
    assert shown_at_80(show_list, JobList(jobs=[JobRow(id=long, status="ACTIVE")])).count("x") == 128


def test_an_id_no_job_can_have_is_cut(shown_at_80: Show) -> None:
    """One of ten thousand characters takes half the line, in the table and below; numbers stay whole."""
    row = JobRow(id="z" * 10_240, attempts=12, max_attempts=12_345, problem="p" * 10_000)
    text = shown_at_80(show_list, JobList(jobs=[row, JobRow(id=ID, status="COMPLETED")]))
    assert "z" * 39 + "…" in text
    assert "z" * 40 not in text
    assert "12/12345" in text
    assert ID in text
    assert len(text) < 1500
    assert max(map(len, text.splitlines())) <= 80


def test_one_job(shown_at_80: Show) -> None:
    """All that is known, parameters and result as JSON, errors with their tracebacks line by line."""
    job = JobDetail(
        id=ID,
        status="FAILED",
        function_name="f",
        queue_name="q",
        attempts=3,
        max_attempts=3,
        params={"to": "日本"},
        last_error=f"ValueError: {HOSTILE}",
        dlq_name="default",
        failed_attempts=[{"attempt": 3, "traceback": 'Traceback:\n\tFile "a.py"\n'}],
    )
    text = shown_at_80(show_detail, job)
    assert f"{ID}\nstatus    FAILED\nfunction  f\nqueue     q\n" in text
    assert "attempts  3 of 3\n" in text
    assert '  {\n    "to": "日本"\n  }\n' in text
    assert 'traceback of attempt 3\n  Traceback:\n      File "a.py"\n' in text
    assert "\\x1b[2J" in text
    assert {char for char in text if not char.isprintable()} == {"\n"}
    assert "result" not in text


def test_a_malformed_job_shows_its_fields(shown_at_80: Show) -> None:
    """What cannot be parsed is shown as it is stored, escaped."""
    text = shown_at_80(
        show_detail,
        JobDetail(id="j", problem="malformed status: x", fields={"status": "\x07", "\x1b[2J": "x"}),
    )
    assert text == "j\n! malformed status: x\nstatus   \\x07\n\\x1b[2J  x\n"


def test_blocks_end_where_their_text_does(shown_at_80: Show) -> None:
    """No blanks fill the line in a pipe."""
    assert shown_at_80(print_block, "error", "a\nbcd").splitlines()[-2:] == ["  a", "  bcd"]


def test_very_long_blocks_lose_their_middle(shown_at_80: Show) -> None:
    """Of many lines the first and last are shown, and how many are left out."""
    lines = shown_at_80(print_block, "error", "\n".join(str(n) for n in range(100))).splitlines()
    assert (lines[2], lines[-1]) == ("  0", "  99")
    assert "  … 60 lines left out; all: --json" in lines


def test_the_life_of_a_job(shown_at_80: Show) -> None:
    """A step per line with time of day and offset, the error below its attempt."""
    start = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    worker = "rrq_worker_host-1_4711_" + "0" * 32
    events = [
        TraceEvent(what="enqueued", at=start),
        TraceEvent(
            what="started",
            at=start + timedelta(seconds=1),
            attempt=1,
            wait_seconds=1,
            worker=worker,
            runner="python",
        ),
        TraceEvent(
            what="retry",
            at=start + timedelta(seconds=1.25),
            attempt=1,
            run_seconds=0.25,
            error="boom\nmore",
            error_type="ValueError",
        ),
        TraceEvent(what="next_run", at=start + timedelta(seconds=6), attempt=2),
    ]
    trace = Trace(
        id="j",
        status="RETRYING",
        function_name="f",
        queue_name="q",
        events=events,
        waited_seconds=1,
        ran_seconds=0.25,
    )
    assert shown_at_80(show_trace, trace) == (
        "j\n"
        "f in queue q, 2026-01-02\n"
        "03:04:05.000       +0 s  enqueued\n"
        "03:04:06.000     +1.0 s  attempt 1 started  waited 1.0 s, on host-1:4711, runner\n"
        "                         python\n"
        "03:04:06.250     +1.2 s  attempt 1 failed  ran 250 ms\n"
        "                         ValueError: boom\n"
        "03:04:11.000     +6.0 s  next run  attempt 2\n"
        "now RETRYING, waited 1.0 s in all, ran 250 ms in all\n"
    )
