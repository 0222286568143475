"""``rrq dlq``: dead letters."""

from collections.abc import Callable

import click

from rrq_cli.commands.job import print_raw
from rrq_cli.exits import ExitCode, UsageProblem, fail
from rrq_cli.hints import command, remark
from rrq_cli.output import emit, note, note_if_none, require_no_terminal
from rrq_cli.params import GlobalOptions, common
from rrq_cli.progress import progress
from rrq_cli.shapes import JobRow
from rrq_cli.store.client import Store, open_store
from rrq_cli.store.dead_letters import dlq_names, group_dead, list_dead, requeue_dead, wrong_dlqs
from rrq_cli.store.jobs import JobFilter
from rrq_cli.store.queues import wrong_sets
from rrq_cli.store.records import read_detail, read_hash
from rrq_cli.views.dead_letters import show_dead, show_groups, show_requeued
from rrq_cli.views.jobs import show_detail

__all__ = ["dlq"]


@click.group()
def dlq() -> None:
    """Dead letters: jobs that will not run again unaided. Look at them, group them, requeue them."""


def _names(store: Store, chosen: str | None) -> list[str]:
    """Return the dead letter queues to look at; what is wrong with one is said on stderr."""
    from rrq_protocol import validate_queue_name

    names = [validate_queue_name(chosen)] if chosen else dlq_names(store)
    for problem in (*wrong_sets(store), *wrong_dlqs(store, names)):
        note(problem)
    return names


def _filter(command: Callable[..., object]) -> Callable[..., object]:
    command = click.option("--function", metavar="NAME", help="Only jobs of this function.")(command)
    return click.option("--queue", metavar="NAME", help="Only jobs that came from this queue.")(command)


_dlq_name = click.option("--dlq-name", metavar="NAME", help="Only this dead letter queue [default: all].")
_batch_size = click.option(
    "--batch-size",
    type=click.IntRange(1, 5000),
    default=100,
    show_default=True,
    help="Records read at a time.",
)


@dlq.command("list")
@common
@_filter
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="Jobs at most.")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Jobs to leave out first.")
@_dlq_name
@_batch_size
@click.option("--raw", is_flag=True, help="Print the stored fields byte for byte; not to a terminal.")
def list_(
    options: GlobalOptions,
    queue: str | None,
    function: str | None,
    limit: int,
    offset: int,
    dlq_name: str | None,
    batch_size: int,
    raw: bool,
) -> None:
    """List dead letters, newest first, with their errors.

    JSON: {"jobs": [{"id", "function_name", "queue_name", "attempts", "last_error", …}], "total", "looked_at",
    "complete"}
    """
    if raw:
        require_no_terminal()
    with open_store(options) as store:
        accepts = JobFilter(None, queue, function).accepts
        names = _names(store, dlq_name)
        found = list_dead(store, names, accepts, limit=limit, offset=offset, batch_size=batch_size)
        missing = store.remark
        if raw and not options.as_json:
            for row in found.jobs:
                print_raw(read_hash(store, row.id)[0])
                click.echo()
            return
    emit(options.as_json, found, show_dead)
    note_if_none(found.jobs, missing)


@dlq.command()
@common
@click.argument("job_id", metavar="ID")
@click.option("--raw", is_flag=True, help="Print the stored fields byte for byte; not to a terminal.")
def inspect(options: GlobalOptions, job_id: str, raw: bool) -> int:
    """Show one dead letter with its parameters and the error of every attempt.

    JSON: as `rrq job show`
    """
    if raw:
        require_no_terminal()
    with open_store(options) as store:
        if raw and not options.as_json:
            print_raw(read_hash(store, job_id)[0])
            return ExitCode.OK
        found = read_detail(store, job_id)
    if found.status != "FAILED":
        there = command("job", "show", found.id) + remark()
        fail(f"job {found.id} is no dead letter, its status is {found.status}: {there}")
    emit(options.as_json, found, show_detail)
    return ExitCode.FINDING if found.problem else ExitCode.OK


@dlq.command()
@common
@_dlq_name
@_batch_size
@click.option(
    "--max-scan",
    type=click.IntRange(min=0),
    default=10_000,
    show_default=True,
    metavar="N",
    help="Records read at most (0: all).",
)
def stats(options: GlobalOptions, dlq_name: str | None, batch_size: int, max_scan: int) -> None:
    """Group dead letters by queue, function and kind of error.

    JSON: {"total", "looked_at", "complete", "groups": [{"count", "queue_name", "function_name", "error",
    "newest_at", "newest_id"}]}
    """
    with open_store(options) as store:
        found = group_dead(store, _names(store, dlq_name), most=max_scan, batch_size=batch_size)
        missing = store.remark
    emit(options.as_json, found, show_groups)
    note_if_none(found.groups, missing)


@dlq.command()
@common
@_filter
@click.option("--job-id", metavar="ID", help="Only this job.")
@click.option("--limit", type=click.IntRange(min=1), help="Jobs at most.")
@click.option("--all", "all_", is_flag=True, help="Every dead letter that fits the filters.")
@click.option("--target-queue", metavar="NAME", help="Queue to put them into [default: each job's own].")
@click.option("--dry-run", is_flag=True, help="Only say which jobs it would be.")
@_dlq_name
def requeue(
    options: GlobalOptions,
    queue: str | None,
    function: str | None,
    job_id: str | None,
    limit: int | None,
    all_: bool,
    target_queue: str | None,
    dry_run: bool,
    dlq_name: str | None,
) -> int:
    """Give dead letters a fresh start, with all their attempts, newest first.

    JSON: {"dry_run", "ids": [id], "results": {"ok": n, …}}; exit code 1 when nothing was requeued
    """
    from rrq_protocol import validate_job_id, validate_queue_name

    if all_ and limit is not None:
        raise UsageProblem("dlq requeue: --all and --limit exclude each other")
    if not (all_ or limit or job_id or dry_run):
        raise UsageProblem(
            "dlq requeue: say how many: --all, --limit N, or --job-id ID (--dry-run shows which it would be)"
        )
    wanted_id = None if job_id is None else validate_job_id(job_id)
    target = None if target_queue is None else validate_queue_name(target_queue)
    base = JobFilter(None, queue, function)

    def accepts(row: JobRow) -> bool:
        return wanted_id in (None, row.id) and base.accepts(row)

    most = 1 if wanted_id is not None else limit
    with open_store(options) as store:
        names = _names(store, dlq_name)
        with progress("requeued", quiet=options.as_json) as advance:
            done = requeue_dead(
                store, names, accepts, most=most, target_queue=target, dry_run=dry_run, progress=advance
            )
        missing = store.remark
    emit(options.as_json, done, show_requeued)
    if not done.ids:
        note(f"job {wanted_id} is in none of the dead letter queues" if wanted_id else "no dead letter fits")
        note_if_none(done.ids, missing)
    moved = len(done.ids) if dry_run else done.results.get("ok", 0)
    return ExitCode.OK if moved else ExitCode.FINDING
