"""Dead letters on the terminal."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from rrq_cli.hints import command, remark
from rrq_cli.output import shown, titled
from rrq_cli.shapes import DeadLetterStats, JobList, JobRow, Requeued
from rrq_cli.text import cut, escape
from rrq_cli.views.jobs import short_id, tries
from rrq_cli.words import clock_time, number, plural, since

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Asked", "show_dead", "show_groups", "show_requeued"]


def first_line(job: JobRow) -> str:
    """Return what is wrong with an entry, or the first line of its error."""
    error = job.problem or (job.last_error or "").strip()
    return error.split("\n")[0] or "(no error recorded)"


class Asked(NamedTuple):
    """What was asked for: in which queue (None: all), whether some only, and from which on."""

    dlq_name: str | None = None
    filtered: bool = False
    offset: int = 0


EVERYTHING = Asked()


def _none(asked: Asked, total: int, looked_at: int) -> str:
    """Return why there is nothing to show."""
    if total == 0:
        name = asked.dlq_name
        return "The dead letter queues are empty." if name is None else f"Dead letter queue {name} is empty."
    if asked.offset:
        which = "that fits " if asked.filtered else ""
        return f"There is no dead letter {which}from offset {number(asked.offset)} on."
    if looked_at < total:
        return f"None of {number(looked_at)} looked at fits, of {plural(total, 'dead letter')}."
    return f"None of the {plural(total, 'dead letter')} fits."


def show_dead(out: "Console", found: JobList, asked: Asked = EVERYTHING) -> None:
    """Print dead letters, two lines each: which job, and why."""
    from rich.text import Text

    total = found.total or 0
    if not found.jobs:
        out.print(shown(_none(asked, total, total), "dim"), overflow="fold")
        return
    now = datetime.now(UTC)
    for job in found.jobs:
        when = since(job.finished_at, now)
        of_what = f"{job.function_name or '–'} in {job.queue_name or '–'}  {tries(job)}  {when}"
        about = of_what if job.function_name or job.queue_name else ""
        head = Text(short_id(job.id, out.width), style="bold")
        room = out.width - head.cell_len - 2
        head.append("  " + cut(escape(about), room) if room > 20 else "", style="dim")
        out.print(head, overflow="fold")
        out.print(Text("  " + cut(escape(first_line(job)), out.width - 2), style="red"))
    if not found.complete or len(found.jobs) < total:
        out.print(shown(_how_many(found, asked, total), "dim"), overflow="fold")


def _how_many(found: JobList, asked: Asked, total: int) -> str:
    count = len(found.jobs)
    if asked.filtered and found.complete:
        fit = f"{number(count + asked.offset)} of {plural(total, 'dead letter')} fit"
        return f"{fit}; shown from offset {number(asked.offset)} on" if asked.offset else fit
    hint = f"more: --offset, --limit; grouped: {command('dlq', 'stats')}{remark()}"
    if asked.filtered:
        return f"{number(count)} that fit, {number(found.looked_at)} of {number(total)} looked at; {hint}"
    return f"{number(count)} of {number(total)} dead letters; {hint}"


def show_groups(out: "Console", stats: DeadLetterStats, asked: Asked = EVERYTHING) -> None:
    """Print dead letters grouped by queue, function and kind of error."""
    from rich.text import Text

    if not stats.groups:
        out.print(shown(_none(asked, stats.total, stats.looked_at), "dim"), overflow="fold")
        _print_unseen(out, stats)
        return
    count = sum(group.count for group in stats.groups)
    among = "" if count == stats.looked_at else f" of {number(stats.looked_at)} looked at"
    titled(out, plural(count, "dead letter") + among, f"in {plural(len(stats.groups), 'group')}")
    for group in stats.groups:
        newest = "" if group.newest_at is None else f", newest {clock_time(group.newest_at)[:19]}"
        line = Text(f"{number(group.count):>7}  ", style="bold")
        about = f"{group.function_name or '–'} in {group.queue_name or '–'}{newest}"
        line.append(cut(escape(about), out.width - line.cell_len), style="dim")
        out.print(line)
        out.print(Text(" " * 9 + cut(escape(group.error), out.width - 9), style="red"))
        if _is_id(group.newest_id):
            out.print(shown(" " * 9 + command("job", "trace", group.newest_id), "dim"), soft_wrap=True)
    if said := remark().strip():
        out.print(shown(said, "dim"), overflow="fold")
    _print_unseen(out, stats)


def _print_unseen(out: "Console", stats: DeadLetterStats) -> None:
    if not stats.complete:
        out.print(
            shown(f"{number(stats.looked_at)} of {number(stats.total)} looked at; all: --max-scan 0", "dim")
        )


def _is_id(text: str) -> bool:
    """Whether a job can be asked for by this id at all."""
    from rrq_protocol import InvalidName, validate_job_id

    try:
        validate_job_id(text)
    except InvalidName:
        return False
    return True


_LEFT = {
    "bad_queue": "no queue can have the name in their records; name one with --target-queue",
    "moved": "still in the list, but somewhere else each time they were looked for; run it again",
}


def show_requeued(out: "Console", done: Requeued) -> None:
    """Print what was requeued."""
    from rich.text import Text

    if done.dry_run:
        titled(out, f"{plural(len(done.ids), 'job')} would be requeued")
        for job_id in done.ids[:20]:
            out.print(Text(short_id(job_id, out.width)), overflow="fold")
        if len(done.ids) > 20:
            out.print(shown(f"… and {number(len(done.ids) - 20)} more", "dim"))
        return
    moved = done.results.get("ok", 0)
    out.print(shown(f"{plural(moved, 'job')} requeued", "green" if moved else ""))
    for answer, count in done.results.items():
        if answer != "ok":
            said = f"{plural(count, 'job')} left alone: {_LEFT.get(answer, answer.replace('_', ' '))}"
            out.print(shown(said, "yellow"), overflow="fold")
