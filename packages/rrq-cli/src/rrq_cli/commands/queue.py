"""``rrq queue``: look into queues, hold them, empty them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from rrq_cli import completing
from rrq_cli.consent import require_consent, yes_option
from rrq_cli.exits import ExitCode, UsageProblem, fail
from rrq_cli.hints import command, remark
from rrq_cli.known import meant, unknown_queue
from rrq_cli.output import emit, note, note_if_none, shown
from rrq_cli.params import DURATION, GlobalOptions, common
from rrq_cli.progress import progress
from rrq_cli.screen import keep_showing
from rrq_cli.shapes import Purged
from rrq_cli.store.client import Store, open_store
from rrq_cli.store.purging import purge_queue
from rrq_cli.store.queues import (
    inspect_queue,
    list_queues,
    queue_names,
    queue_stats,
    scan_statuses,
    unknown_queues,
    wrong_sets,
)
from rrq_cli.store.throughput import Throughput
from rrq_cli.views.queues import show_content, show_purged, show_queues, show_stats
from rrq_cli.words import plural

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["queue"]

_FOREIGN = (
    "Producers of other implementations register no queue: --scan N looks at N keys of the server for their "
    "queues (0: all)."
)


@click.group()
def queue() -> None:
    """Look into queues: how many jobs wait, how they flow, which come next. Hold them, and empty them."""


def _names(store: Store, chosen: Sequence[str], scan: int | None) -> list[str]:
    from rrq_protocol import validate_queue_name

    for problem in wrong_sets(store):
        note(problem)
    if not chosen:
        return queue_names(store, scan=scan)
    names = sorted({validate_queue_name(name) for name in chosen})
    for name, known in unknown_queues(store, names):
        note(unknown_queue(name, known))
    return names


def _one(store: Store, name: str, *, otherwise: str = "") -> str:
    """Return the name of a queue that is known; ``otherwise`` is added to what is said of another one.

    Raises:
        CliError: Nobody ever used it.
    """
    from rrq_protocol import validate_queue_name

    checked = validate_queue_name(name)
    for missing, known in unknown_queues(store, [checked]):
        said = f"{unknown_queue(missing, known)}{otherwise}"
        fail(said if store.remark is None else f"{said}\n{store.remark}")
    return checked


@queue.command("list", epilog=_FOREIGN)
@common
@click.option("--show-empty", is_flag=True, help="Show queues without jobs too.")
@click.option(
    "--scan",
    type=click.IntRange(min=0),
    metavar="N",
    help="Also look at N keys of the server for queues (0: all).",
)
def list_(options: GlobalOptions, show_empty: bool, scan: int | None) -> None:
    """List the queues with the number of jobs that wait in them.

    JSON: {"queues": [{"name", "ready", "later", "paused", "problem"}]}
    """
    with open_store(options) as store:
        found = list_queues(store, _names(store, (), scan))
        missing = store.remark
    kept = [each for each in found if show_empty or each.waiting or each.problem or each.paused]

    emit(options.as_json, {"queues": kept}, lambda out, answer: show_queues(out, answer["queues"]))
    note_if_none(kept, missing)


@queue.command()
@common
@click.option(
    "--queue",
    "chosen",
    multiple=True,
    metavar="NAME",
    shell_complete=completing.queues,
    help="Only this queue; may be repeated.",
)
@click.option(
    "--max-scan",
    type=click.IntRange(min=0),
    is_flag=False,
    flag_value=1000,
    metavar="[N]",
    help="Also count records by status, looking at N keys of the server [1000; 0: all, may take long].",
)
@click.option("--watch", is_flag=True, help="Show them again and again until Ctrl-C.")
@click.option(
    "--interval",
    type=DURATION,
    default=2.0,
    metavar="TIME",
    show_default=True,
    help="Time between looks with --watch.",
)
def stats(
    options: GlobalOptions, chosen: Sequence[str], max_scan: int | None, watch: bool, interval: float
) -> None:
    """Show the figures of queues: waiting, active, done, failed, waits, run times, throughput.

    They come from counters kept with every change, so this costs the same with ten jobs or ten million.

    JSON: {"at": time, "queues": [{"name", "ready", "later", "active", "oldest_ready_age_seconds", "totals",
    "per_second_1m", "per_second_1h", "per_second_24h", "completed_per_minute", "completed_per_hour", …}],
    "looked_at", "complete"}; the last two are null without --max-scan
    """
    from rrq_cli.store.records import time_of

    if watch and options.as_json:
        raise UsageProblem("queue stats: --watch is for people; without it, --json answers once")
    with open_store(options) as store:
        if watch:
            _names(store, chosen, max_scan)  # says what is unknown, before the screen is taken
            keep_showing("queue stats --watch", interval, _looking(store, chosen, max_scan))
            return
        names = _names(store, chosen, max_scan)
        scan = None if max_scan is None else scan_statuses(store, max_scan)
        found = queue_stats(store, names, scan=scan)
        at, missing = time_of(store.now_ms()), store.remark

    answer = {
        "at": at,
        "queues": found,
        "looked_at": None if scan is None else scan.looked_at,
        "complete": None if scan is None else scan.complete,
    }
    emit(options.as_json, answer, lambda out, _: show_stats(out, found, max_scan))
    note_if_none(any(each.waiting or each.totals.enqueued or each.problem for each in found), missing)


def _looking(
    store: Store, chosen: Sequence[str], max_scan: int | None
) -> "Callable[[], Callable[[Console], None]]":
    """Return what looks at the figures and returns what draws them."""
    flow = Throughput()

    def look() -> "Callable[[Console], None]":
        names = sorted(set(chosen)) or queue_names(store, scan=max_scan)
        scan = None if max_scan is None else scan_statuses(store, max_scan)
        found = queue_stats(store, names, scan=scan, flow=flow)
        return lambda out: show_stats(out, found, max_scan)

    return look


@queue.command()
@common
@click.argument("name", metavar="QUEUE", shell_complete=completing.queues)
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Jobs at most.")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Jobs to leave out first.")
def inspect(options: GlobalOptions, name: str, limit: int, offset: int) -> int:
    """Show the jobs of a queue in the order they become due.

    JSON: {"name", "ready", "later", "paused", "offset", "jobs": [job], "problem"}
    """
    with open_store(options) as store:
        for problem in wrong_sets(store):
            note(problem)
        checked = _one(store, name)
        content = inspect_queue(store, checked, limit=limit, offset=offset)
        missing = store.remark
    emit(options.as_json, content, show_content)
    note_if_none(content.waiting or content.problem, missing)
    return ExitCode.FINDING if content.problem else ExitCode.OK


_force = click.option("--force", is_flag=True, help="Also a queue that nobody has used so far.")


@queue.command()
@common
@click.argument("name", metavar="QUEUE", shell_complete=completing.queues)
@_force
def pause(options: GlobalOptions, name: str, force: bool) -> None:
    """Stop handing out the jobs of a queue: new ones are accepted and wait, running ones go on.

    A name that nobody knows is refused, for a slip in it would leave the queue that is meant running; --force
    pauses a queue before its first job.

    JSON: {"name", "result": "paused" | "already", "waiting"}
    """
    _hold(options, name, paused=True, force=force)


@queue.command()
@common
@click.argument("name", metavar="QUEUE", shell_complete=completing.queues)
@_force
def resume(options: GlobalOptions, name: str, force: bool) -> None:
    """End the pause of a queue. A name that nobody knows is refused.

    JSON: {"name", "result": "resumed" | "already", "waiting"}
    """
    _hold(options, name, paused=False, force=force)


def _hold(options: GlobalOptions, name: str, *, paused: bool, force: bool) -> None:
    from rrq_protocol import transitions, validate_queue_name
    from rrq_protocol.transitions import PauseReply

    with open_store(options) as store:
        for problem in wrong_sets(store):
            note(problem)
        if force:
            checked = validate_queue_name(name)
            for missing, known in unknown_queues(store, [checked]):
                if meant(missing, known) is not None:
                    note(unknown_queue(missing, known))
        else:
            again = command("queue", "pause" if paused else "resume", "--force", name)
            checked = _one(
                store, name, otherwise=f"\nNothing was done; if the name is right: {again}{remark()}"
            )
        done = store.run((transitions.pause if paused else transitions.resume)(store.keys, checked))
    state = "paused" if paused else "open"
    said = f"was {state} before" if done.reply is PauseReply.ALREADY else f"is {state} now"
    jobs = f"{plural(done.waiting, 'job')} {'waits' if done.waiting == 1 else 'wait'} in it"
    emit(
        options.as_json,
        {"name": checked, "result": done.reply.value, "waiting": done.waiting},
        lambda out, _: out.print(shown(f"queue {checked} {said}; {jobs}"), overflow="fold"),
    )


@queue.command()
@common
@click.argument("name", metavar="QUEUE", shell_complete=completing.queues)
@click.option("--dry-run", is_flag=True, help="Only say how many jobs it would be.")
@yes_option
def purge(options: GlobalOptions, name: str, dry_run: bool, yes: bool) -> int:
    """Delete the jobs that wait in a queue, those due later too. Running jobs are left alone.

    Producers go on: what comes in meanwhile stays. `rrq queue pause` first keeps jobs from starting.

    JSON: {"dry_run", "ids": [], "results": {"ok": n, …}, "problem"}; with --dry-run "ok" is what waits now
    """
    with open_store(options) as store:
        checked = _one(store, name)
        (found,) = list_queues(store, [checked])
        if found.problem is not None and not found.waiting:
            fail(f"queue {checked}: {found.problem}")
        if dry_run:
            done = Purged(dry_run=True, results={"ok": found.waiting} if found.waiting else {})
        else:
            what = f"delete {plural(found.waiting, 'waiting job')} of queue {checked}"
            if found.waiting:
                require_consent(what, yes=yes, as_json=options.as_json)
            with progress("deleted", total=found.waiting, quiet=options.as_json) as advance:
                done = purge_queue(store, checked, progress=advance)
    emit(options.as_json, done, show_purged)
    return ExitCode.FINDING if done.problem else ExitCode.OK
