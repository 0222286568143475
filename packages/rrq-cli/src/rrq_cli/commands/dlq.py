"""``rrq dlq``: dead letters."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from rrq_cli import completing
from rrq_cli.commands.job import print_raw
from rrq_cli.consent import require_consent, yes_option
from rrq_cli.exits import ExitCode, UsageProblem, fail
from rrq_cli.hints import command, remark
from rrq_cli.known import unknown_name, unknown_queue
from rrq_cli.output import emit, note, note_if_none, require_no_terminal
from rrq_cli.params import MOMENT, GlobalOptions, common
from rrq_cli.progress import progress
from rrq_cli.shapes import Purged, Requeued
from rrq_cli.store.choosing import Chosen, choose_dead, ids_of
from rrq_cli.store.client import Store, open_store
from rrq_cli.store.dead_letters import (
    dlq_names,
    group_dead,
    list_dead,
    total_dead,
    wrong_dlqs,
)
from rrq_cli.store.jobs import JobFilter
from rrq_cli.store.purging import purge_dead
from rrq_cli.store.queues import unknown_queues, wrong_sets
from rrq_cli.store.records import read_detail, read_hash
from rrq_cli.store.requeueing import requeue_dead
from rrq_cli.views.dead_letters import Asked, show_dead, show_groups, show_requeued
from rrq_cli.views.jobs import show_detail
from rrq_cli.views.queues import show_purged
from rrq_cli.words import plural

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["dlq"]


@click.group()
def dlq() -> None:
    """Dead letters: jobs that will not run again unaided. Look at them, group, requeue or delete them."""


def _names(store: Store, chosen: str | None, queue: str | None = None) -> list[str]:
    """Return the dead letter queues to look at; what is wrong with one, or a ``queue`` that nobody knows, is
    said on stderr.
    """
    from rrq_protocol import validate_queue_name

    for name, known in unknown_queues(store, [queue] if queue else []):
        note(unknown_queue(name, known))
    names = dlq_names(store)
    if chosen:
        if validate_queue_name(chosen) not in names and not total_dead(store, [chosen]):
            note(unknown_name("dead letter queue", chosen, names))
        names = [chosen]
    for problem in (*wrong_sets(store), *wrong_dlqs(store, names)):
        note(problem)
    return names


def _filter(command: Callable[..., object]) -> Callable[..., object]:
    command = click.option("--function", metavar="NAME", help="Only jobs of this function.")(command)
    return click.option(
        "--queue",
        metavar="NAME",
        shell_complete=completing.queues,
        help="Only jobs that came from this queue.",
    )(command)


_dlq_name = click.option(
    "--dlq-name",
    metavar="NAME",
    shell_complete=completing.dlqs,
    help="Only this dead letter queue [default: all].",
)
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
@click.option("--since", type=MOMENT, metavar="TIME", help='Only newer ones: "2h" ago, or a time (RFC 3339).')
@click.option("--until", type=MOMENT, metavar="TIME", help="Only older ones.")
@click.option("--error", metavar="TEXT", help="Only those with this text in their error, in any case.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="Jobs at most.")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Jobs to leave out first.")
@_dlq_name
@_batch_size
@click.option("--raw", is_flag=True, help="Print the stored fields byte for byte; not to a terminal.")
def list_(
    options: GlobalOptions,
    queue: str | None,
    function: str | None,
    since: "datetime | None",
    until: "datetime | None",
    error: str | None,
    limit: int,
    offset: int,
    dlq_name: str | None,
    batch_size: int,
    raw: bool,
) -> None:
    """List dead letters, newest first, with their errors.

    JSON: {"jobs": [{"id", "function_name", "queue_name", "attempts", "last_error", …}], "total", "looked_at",
    "complete"}; "total" counts all in these queues, whether they fit or not
    """
    if raw:
        require_no_terminal()
    with open_store(options) as store:
        accepts = JobFilter(None, queue, function, since, until, error).accepts
        names = _names(store, dlq_name, queue)
        found = list_dead(store, names, accepts, limit=limit, offset=offset, batch_size=batch_size)
        missing = store.remark
        if raw and not options.as_json:
            for row in found.jobs:
                print_raw(read_hash(store, row.id)[0])
                click.echo()
            return
    filtered = any(each is not None for each in (queue, function, since, until, error))
    asked = Asked(dlq_name, filtered, offset)
    emit(options.as_json, found, lambda out, _: show_dead(out, found, asked))
    note_if_none(found.jobs, missing)


@dlq.command()
@common
@click.argument("job_id", metavar="ID", shell_complete=completing.dead_jobs)
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
@_filter
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
def stats(
    options: GlobalOptions,
    queue: str | None,
    function: str | None,
    dlq_name: str | None,
    batch_size: int,
    max_scan: int,
) -> None:
    """Group dead letters by queue, function and kind of error.

    JSON: {"total", "looked_at", "complete", "groups": [{"count", "queue_name", "function_name", "error",
    "newest_at", "newest_id"}]}; "total" counts all in these queues, whether they fit or not
    """
    with open_store(options) as store:
        names, accepts = _names(store, dlq_name, queue), JobFilter(None, queue, function).accepts
        found = group_dead(store, names, most=max_scan, batch_size=batch_size, accepts=accepts)
        missing = store.remark
    asked = Asked(dlq_name, filtered=queue is not None or function is not None)
    emit(options.as_json, found, lambda out, _: show_groups(out, found, asked))
    note_if_none(found.groups, missing)


def _chosen(deed: str, reach: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare the options that say which dead letters a ``deed`` is done to.

    The command gets a :class:`_Choice` as its second argument.
    """

    def declare(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(options: GlobalOptions, **values: Any) -> Any:
            names = ("queue", "function", "job_id", "limit", "all_", "dry_run", "dlq_name", "batch_size")
            choice = _Choice(deed, **{name: values.pop(name) for name in names})
            return command(options, choice, **values)

        declared: Callable[..., Any] = run
        for option in (
            _batch_size,
            _dlq_name,
            click.option("--dry-run", is_flag=True, help="Only say which jobs it would be."),
            click.option("--all", "all_", is_flag=True, help=reach),
            click.option("--limit", type=click.IntRange(min=1), help="Jobs at most, newest first."),
            click.option(
                "--job-id", metavar="ID", shell_complete=completing.dead_jobs, help="Only this job."
            ),
            _filter,
        ):
            declared = option(declared)
        return declared

    return declare


@dataclass
class _Choice:
    """Which dead letters are meant; refuses what contradicts itself.

    Raises:
        UsageProblem: It is not said how many.
        InvalidName: The id can be none.
    """

    deed: str
    queue: str | None
    function: str | None
    job_id: str | None
    limit: int | None
    all_: bool
    dry_run: bool
    dlq_name: str | None
    batch_size: int

    def __post_init__(self) -> None:
        from rrq_protocol import validate_job_id

        if self.all_ and self.limit is not None:
            raise UsageProblem(f"dlq {self.deed}: --all and --limit exclude each other")
        if not (self.all_ or self.limit or self.job_id or self.dry_run):
            raise UsageProblem(
                f"dlq {self.deed}: say how many: --all, --limit N, or --job-id ID "
                "(--dry-run shows which it would be)"
            )
        if self.job_id is not None:
            validate_job_id(self.job_id)

    def found(self, store: Store, names: Sequence[str], *, quiet: bool) -> Chosen:
        """Return the dead letters that are meant."""
        wanted = JobFilter(None, self.queue, self.function) if self.queue or self.function else None
        # Ids alone are read in no time; records take theirs.
        with progress("looked at", total=total_dead(store, names), quiet=quiet or wanted is None) as advance:
            return choose_dead(
                store,
                names,
                wanted,
                job_id=self.job_id,
                most=1 if self.job_id is not None else self.limit,
                batch_size=self.batch_size,
                progress=advance,
            )

    def none_found(self) -> str:
        """Return what to say where no dead letter is meant."""
        return (
            "no dead letter fits"
            if self.job_id is None
            else f"job {self.job_id} is in none of the dead letter queues"
        )


@dlq.command()
@common
@_chosen("requeue", "Every dead letter that fits the filters.")
@click.option(
    "--target-queue",
    metavar="NAME",
    shell_complete=completing.queues,
    help="Queue to put them into [default: each job's own].",
)
def requeue(options: GlobalOptions, choice: _Choice, target_queue: str | None) -> int:
    """Give dead letters a fresh start, with all their attempts, in the order they failed in.

    JSON: {"dry_run", "ids": [id], "results": {"ok": n, …}}; exit code 1 when nothing was
    requeued, or when some are left that moved, or whose record names no possible queue
    """
    from rrq_protocol import validate_queue_name

    target = None if target_queue is None else validate_queue_name(target_queue)
    with open_store(options) as store:
        names = _names(store, choice.dlq_name, choice.queue)
        chosen = choice.found(store, names, quiet=options.as_json)
        if choice.dry_run:
            done = Requeued(dry_run=True, ids=ids_of(chosen))
        else:
            with progress("requeued", total=len(ids_of(chosen)), quiet=options.as_json) as advance:
                done = requeue_dead(
                    store, chosen, target_queue=target, batch_size=choice.batch_size, progress=advance
                )
        missing = store.remark
    emit(options.as_json, done, show_requeued)
    return _code(done.dry_run, done.ids, done.results, choice, missing)


def _code(
    dry_run: bool, ids: Sequence[str], results: Mapping[str, int], choice: _Choice, missing: str | None
) -> int:
    if not ids:
        note(choice.none_found())
        note_if_none(ids, missing)
    left = results.get("moved", 0) + results.get("bad_queue", 0)
    fine = ids if dry_run else results.get("ok", 0) and not left
    return ExitCode.OK if fine else ExitCode.FINDING


@dlq.command()
@common
@_chosen("purge", "Every dead letter that fits the filters.")
@yes_option
def purge(options: GlobalOptions, choice: _Choice, yes: bool) -> int:
    """Delete dead letters for good: the entries and the job records.

    JSON: {"dry_run", "ids": [id], "results": {"ok": n, …}, "problem"}; exit code 1 when nothing was
    deleted, or when some are left that moved
    """
    with open_store(options) as store:
        names = _names(store, choice.dlq_name, choice.queue)
        chosen = choice.found(store, names, quiet=options.as_json)
        done = Purged(dry_run=choice.dry_run, ids=ids_of(chosen))
        if chosen and not choice.dry_run:
            what = f"delete {plural(len(done.ids), 'dead letter')}"
            require_consent(what, yes=yes, as_json=options.as_json)
            with progress("deleted", total=len(done.ids), quiet=options.as_json) as advance:
                done = purge_dead(store, chosen, batch_size=choice.batch_size, progress=advance)
        missing = store.remark
    emit(options.as_json, done, show_purged)
    return _code(done.dry_run, done.ids, done.results, choice, missing)
