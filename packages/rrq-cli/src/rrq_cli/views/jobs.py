"""Jobs on the terminal: lists, one job, its timeline."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rrq_cli.output import shown, titled
from rrq_cli.shapes import JobDetail, JobList, JobRow
from rrq_cli.tables import Column, table
from rrq_cli.text import cut, escape, escape_lines, width
from rrq_cli.timeline import Trace, TraceEvent
from rrq_cli.words import age, ago, clock_time, duration, local_time, number, plural, short_worker, since

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["print_rows", "show_detail", "show_list", "show_trace", "status_text"]

STYLES = {
    "PENDING": "cyan",
    "ACTIVE": "blue",
    "RETRYING": "yellow",
    "COMPLETED": "green",
    "FAILED": "red",
    "CANCELLED": "magenta",
}
_WIDE = 100
_MOST_LINES = 40
_LONGEST_ID = 128
_LONGEST_PROBLEM = 300
_LEAST_BESIDE = 30


def status_text(status: str | None) -> "Text":
    """Return a status in its colour."""
    return shown(status, STYLES.get(status or "", ""))


def short_id(job_id: str, room: int) -> str:
    """Return an id, escaped; one that is longer than any job's is cut to half the room there is."""
    text = escape(job_id)
    return text if width(text) <= _LONGEST_ID else cut(text, max(20, room // 2))


def tries(row: JobRow) -> str:
    """Return attempts made of those allowed, as in ``2/5``; a dash where the record tells of none."""
    if row.problem is not None and row.max_attempts is None:
        return "–"
    return f"{row.attempts}/{'–' if row.max_attempts is None else row.max_attempts}"


def print_rows(out: "Console", rows: Sequence[JobRow], *, when: str, queue: bool = True) -> None:
    """Print jobs, one per line; below it what is wrong with an entry. An id that a job can have is never cut.

    Args:
        out: Where to.
        rows: The jobs.
        when: ``due``, or ``age`` for the time of the last event.
        queue: Whether to name the queues, where there are several or much room.
    """
    from rich.text import Text

    now = datetime.now(UTC)
    named = queue and (len({row.queue_name for row in rows}) > 1 or out.width >= _WIDE)
    columns = [Column("Job", whole=True), Column("Status", keep=2), Column("Function", elastic=True)]
    columns += [Column("Queue", most=12)] if named else []
    columns += [Column(title, right=True, keep=1) for title in ("Tries", "Due" if when == "due" else "Age")]
    listed = []
    for row in rows:
        moment = row.due_at if when == "due" else row.finished_at or row.started_at or row.enqueued_at
        of_queue = (row.queue_name,) if named else ()
        status = shown("broken", "red") if row.problem else status_text(row.status)
        when_text = _due(moment, now) if when == "due" else age(moment, now)
        listed.append(
            (Text(short_id(row.id, out.width)), status, row.function_name, *of_queue, tries(row), when_text)
        )
    out.print(table(columns, listed))
    print_problems(out, rows)


def _due(moment: datetime | None, now: datetime) -> str:
    return "now" if moment is not None and moment <= now else ago(moment, now)


def print_problems(out: "Console", rows: Sequence[JobRow]) -> None:
    """Print what is wrong with entries, one line each."""
    from rich.text import Text

    for row in rows:
        if row.problem:
            problem = cut(escape(row.problem), _LONGEST_PROBLEM)
            out.print(Text(f"! {short_id(row.id, out.width)}: {problem}", "red"), overflow="fold")


def show_list(out: "Console", found: JobList, *, unseen: str | None = None, empty: bool = False) -> None:
    """Print a list of jobs; or, where there is none, which were not looked at, or that there is no job at
    all.
    """
    if not found.jobs:
        among = f" among the {number(found.looked_at)} looked at" if found.looked_at else ""
        out.print(shown("there are no jobs" if empty else f"no such job{among}", "dim"))
        if unseen is not None:
            out.print(shown(unseen, "dim"), overflow="fold")
        return
    print_rows(out, found.jobs, when="age")


def _pairs(out: "Console", pairs: Sequence[tuple[str, "object"]]) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None:
            grid.add_row(shown(name), value if isinstance(value, Text) else shown(value))
    out.print(grid)


def show_detail(out: "Console", job: JobDetail) -> None:
    """Print everything about one job."""
    now = datetime.now(UTC)
    titled(out, job.id)
    if job.problem is not None:
        out.print(shown(f"! {job.problem}", "red"), overflow="fold")
        _pairs(out, list(job.fields.items()))
        return

    def moment(instant: datetime | None) -> str | None:
        if instant is None:
            return None
        return f"{clock_time(instant)}  ({since(instant, now)})"

    waiting = job.status in ("PENDING", "RETRYING")
    expires = None if job.expires_in_seconds is None else f"in {duration(job.expires_in_seconds)}"
    _pairs(
        out,
        [
            ("status", status_text(job.status)),
            ("function", job.function_name),
            ("queue", job.queue_name),
            ("attempts", f"{job.attempts} of {'–' if job.max_attempts is None else job.max_attempts}"),
            ("crashes", job.crashes or None),
            ("enqueued", moment(job.enqueued_at)),
            ("due", moment(job.due_at) if waiting else None),
            ("started", moment(job.started_at)),
            ("finished", moment(job.finished_at)),
            ("orchestrator", job.worker_id),
            ("dlq", job.dlq_name),
            ("expires", expires),
            ("unique key", job.fields.get("job_unique_key")),
        ],
    )
    print_block(out, "params", _pretty(job.params))
    if job.status == "COMPLETED":
        print_block(out, "result", _pretty(job.result))
    if job.last_error:
        print_block(out, "last error", job.last_error, "red")
    for entry in job.failed_attempts:
        if entry.get("traceback"):
            print_block(out, f"traceback of attempt {entry.get('attempt')}", str(entry["traceback"]).rstrip())


def _pretty(value: Any) -> str:
    try:
        return json.dumps(value, indent=2, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return str(value)


def print_block(out: "Console", title: str, text: str, style: str = "") -> None:
    """Print a heading and lines of text, indented, with the middle left out where there are very many."""
    from rich.padding import Padding

    out.print()
    titled(out, title)
    lines = escape_lines(text)
    if len(lines) > _MOST_LINES:
        left_out = len(lines) - _MOST_LINES
        lines = [
            *lines[: _MOST_LINES // 2],
            f"… {left_out} lines left out; all: --json",
            *lines[-_MOST_LINES // 2 :],
        ]
    for line in lines:
        out.print(Padding(shown(line, style), (0, 0, 0, 2), expand=False), overflow="fold")


_WORDS = {
    "enqueued": "enqueued",
    "due": "first due",
    "started": "started",
    "retry": "failed",
    "failed": "failed for good",
    "timeout": "timed out",
    "crash": "crashed",
    "released": "given back",
    "completed": "completed",
    "cancelled": "cancelled",
    "cancel_requested": "cancel asked for",
    "next_run": "next run",
    "requeued": "requeued with all its attempts",
}
_GOOD, _BAD = {"completed"}, {"retry", "failed", "timeout", "crash", "cancelled"}


def show_trace(out: "Console", trace: Trace) -> None:
    """Print a job's life, one step per line, each with the time since the job was enqueued."""
    from rich.text import Text

    titled(out, trace.id)
    start = trace.events[0].at
    days = {local_time(event.at).date() for event in trace.events if event.at is not None}
    where = f" in queue {trace.queue_name}" if trace.queue_name else ""
    day = f", {min(days)}" if len(days) == 1 else ""
    out.print(shown(f"{trace.function_name}{where}{day}", "dim"), overflow="fold")
    for event in trace.events:
        since = None if event.at is None or start is None else (event.at - start).total_seconds()
        offset = "" if since is None else "+" + duration(max(0.0, since))
        style = "green" if event.what in _GOOD else "red" if event.what in _BAD else ""
        clock = shown(f"{clock_time(event.at, day=len(days) > 1):>12}  {offset:>9}", "dim")
        said = shown(_words_of(event), style).append_text(shown(_remark(event), "dim"))
        if event.error:
            said.append("\n").append_text(shown(_error_of(event), "red"))
        _print_beside(out, clock, said)
    summary = Text("now ")
    summary.append_text(status_text(trace.status))
    if trace.waited_seconds is not None:
        summary.append(f", waited {duration(trace.waited_seconds)} in all")
    if trace.ran_seconds is not None:
        summary.append(f", ran {duration(trace.ran_seconds)} in all")
    out.print(summary)


def _print_beside(out: "Console", left: "Text", right: "Text") -> None:
    """Print two texts side by side; where the right one is too long, it goes on below itself."""
    from rich.table import Table

    if out.width - left.cell_len < _LEAST_BESIDE:
        out.print(left.append("  ").append_text(right), overflow="fold")
        return
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(left, right)
    out.print(grid)


def _words_of(event: TraceEvent) -> str:
    words = _WORDS.get(event.what, event.what)
    if event.what == "earlier_starts":
        given_back = (event.starts or 0) - (event.lost or 0)
        parts = [f"{given_back} given back"] if given_back else []
        parts += [f"{event.lost} lost with the orchestrator"] if event.lost else []
        return f"{plural(event.starts or 0, 'earlier start')}: {', '.join(parts)}"
    if event.what == "released" and event.run_seconds is None:
        words = "given back before its start"
    return (
        f"attempt {event.attempt} {words}"
        if event.attempt is not None and event.what != "next_run"
        else words
    )


def _remark(event: TraceEvent) -> str:
    parts = []
    if event.wait_seconds is not None:
        parts.append(f"waited {duration(event.wait_seconds)}")
    if event.run_seconds is not None:
        parts.append(f"ran {duration(event.run_seconds)}")
    if event.backoff_seconds:
        parts.append(f"again after {duration(event.backoff_seconds)}")
    if event.reason:
        parts.append(event.reason)
    unstarted = event.what == "released" and event.run_seconds is None
    if (event.what == "started" or unstarted) and event.worker:
        parts.append(
            f"on {short_worker(event.worker)}" + (f", runner {event.runner}" if event.runner else "")
        )
    if event.what == "next_run" and event.attempt is not None:
        parts.append(f"attempt {event.attempt}")
    return f"  {', '.join(parts)}" if parts else ""


def _error_of(event: TraceEvent) -> str:
    """Return the first line of an error, with its type in front once."""
    text = (event.error or "").strip()
    first = text.splitlines()[0] if text else ""
    known = not event.error_type or first.startswith(event.error_type)
    return first if known else f"{event.error_type}: {first}"
