"""Queues on the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rrq_cli.hints import command, remark
from rrq_cli.output import shown, titled
from rrq_cli.shapes import Purged, QueueContent, QueueInfo, QueueStats
from rrq_cli.tables import Column, table
from rrq_cli.views.jobs import print_rows
from rrq_cli.words import duration, number, plural, rate, sparkline

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["show_content", "show_purged", "show_queues", "show_stats"]

_SPARK_COLUMNS = 12


def _state(queue: QueueInfo) -> "Text":
    if queue.problem is not None:
        return shown("broken, see below", "red")
    return shown("paused", "yellow") if queue.paused else shown("")


def show_queues(out: "Console", queues: Sequence[QueueInfo]) -> None:
    """Print the queues, one per line."""
    if not queues:
        all_known = command("queue", "list", "--show-empty") + remark()
        out.print(shown(f"No queue holds a job. All known ones: {all_known}", "dim"))
        return
    columns = [
        Column("Queue"),
        Column("Waiting", right=True),
        Column("Ready", right=True),
        Column("Later", right=True),
        Column(""),
    ]
    rows = [
        (each.name, number(each.waiting), number(each.ready), number(each.later), _state(each))
        for each in queues
    ]
    out.print(table(columns, rows))
    _print_problems(out, queues)


def _print_problems(out: "Console", queues: Sequence[QueueInfo]) -> None:
    for each in queues:
        if each.problem:
            out.print(shown(f"! {each.name}: {each.problem}", "red"), overflow="fold")


def show_stats(out: "Console", queues: Sequence[QueueStats], most: int | None = None) -> None:
    """Print where jobs stand now, and below it how they flow; a scan looked at ``most`` keys (0: all)."""
    if not queues:
        out.print(shown("No queue is known yet; the first job that is enqueued makes one.", "dim"))
        return
    titled(out, "Now")
    columns = [
        Column("Queue"),
        *(Column(t, right=True) for t in ("Ready", "Later", "Active", "Oldest ready")),
        Column(""),
    ]
    rows = [
        (
            each.name,
            number(each.ready),
            number(each.later),
            number(each.active),
            duration(each.oldest_ready_age_seconds),
            _state(each),
        )
        for each in queues
    ]
    out.print(table(columns, rows))
    _print_problems(out, queues)
    out.print()
    titled(out, "So far", "means per job")
    columns = [
        Column("Queue"),
        *(Column(t, right=True) for t in ("Done", "Failed", "Retries", "Wait", "Run")),
    ]
    out.print(table(columns, [_so_far(each) for each in queues]))
    out.print()
    titled(out, "Throughput", "jobs done; the bars are the last hour and the last day")
    columns = [Column("Queue"), *(Column(title, right=True) for title in ("1 min", "1 h", "24 h"))]
    columns += [Column("Hour", keep=1), Column("Day")]
    out.print(table(columns, [_flow(each) for each in queues]))
    if any(each.scanned is not None for each in queues):
        _show_scanned(out, queues, most)


def _so_far(stats: QueueStats) -> Sequence[object]:
    totals = stats.totals
    return (
        stats.name,
        number(totals.completed),
        shown(number(totals.failed), "red" if totals.failed else ""),
        number(totals.retried),
        duration(stats.mean_wait_seconds),
        duration(stats.mean_run_seconds),
    )


def _flow(stats: QueueStats) -> Sequence[object]:
    return (
        stats.name,
        rate(stats.per_second_1m),
        rate(stats.per_second_1h),
        rate(stats.per_second_24h),
        shown(sparkline(stats.completed_per_minute, _SPARK_COLUMNS), "cyan"),
        shown(sparkline(stats.completed_per_hour, _SPARK_COLUMNS), "cyan"),
    )


def _show_scanned(out: "Console", queues: Sequence[QueueStats], most: int | None) -> None:
    out.print()
    titled(
        out, "Records found by scanning", f"{plural(most, 'key')} at most; all: --max-scan 0" if most else ""
    )
    statuses = sorted({status for each in queues for status in each.scanned or {}})
    columns = [Column("Queue"), *(Column(status.capitalize(), right=True) for status in statuses)]
    rows = [
        (each.name, *(number((each.scanned or {}).get(status, 0)) for status in statuses)) for each in queues
    ]
    out.print(table(columns, rows))


def show_content(out: "Console", content: QueueContent) -> None:
    """Print what is in a queue, in the order it becomes due."""
    detail = f"{number(content.ready)} ready, {number(content.later)} later" + (
        ", paused" if content.paused else ""
    )
    titled(out, content.name, detail)
    _print_problems(out, [content])
    if not content.jobs:
        none = "no jobs" if content.offset == 0 else f"no jobs from offset {content.offset} on"
        if not content.problem:
            out.print(shown(none, "dim"))
        return
    print_rows(out, content.jobs, when="due", queue=False)
    last = content.offset + len(content.jobs)
    if last < content.waiting:
        out.print(
            shown(
                f"{content.offset + 1} to {last} of {number(content.waiting)}; more: --offset {last}", "dim"
            )
        )


_LEFT = {
    "busy": "started meanwhile",
    "gone": "had no record any more; orchestrators clear such entries away",
    "moved": "still in the list, but somewhere else each time they were looked for; run it again",
    "not_in_dlq": "no longer in the list",
    "wrong_type": "whose key holds something else; `rrq doctor` says which",
}


def show_purged(out: "Console", done: Purged) -> None:
    """Print how many jobs were deleted, and what became of the others."""
    count = done.results.get("ok", 0) if not done.ids or not done.dry_run else len(done.ids)
    verb = "would be deleted" if done.dry_run else "deleted"
    out.print(shown(f"{plural(count, 'job')} {verb}", "green" if count and not done.dry_run else ""))
    for answer, left in done.results.items():
        if answer != "ok":
            said = f"{plural(left, 'entry', 'entries')} left alone: {_LEFT.get(answer, answer)}"
            out.print(shown(said, "yellow"), overflow="fold")
    if done.problem is not None:
        out.print(shown(f"! {done.problem}", "red"), overflow="fold")
