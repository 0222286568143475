"""``rrq queue``: look into queues."""

from collections.abc import Sequence

import click

from rrq_cli.exits import ExitCode
from rrq_cli.output import emit, note, note_if_none
from rrq_cli.params import GlobalOptions, common
from rrq_cli.store.client import Store, open_store
from rrq_cli.store.queues import inspect_queue, list_queues, queue_names, queue_stats, wrong_sets
from rrq_cli.views.queues import show_content, show_queues, show_stats

__all__ = ["queue"]

_FOREIGN = (
    "Producers of other implementations register no queue: --scan N looks at N keys of the server for their "
    "queues (0: all)."
)


@click.group()
def queue() -> None:
    """Look into queues: how many jobs wait, how they flow, which come next."""


def _names(store: Store, chosen: Sequence[str], scan: int | None) -> list[str]:
    from rrq_protocol import validate_queue_name

    for problem in wrong_sets(store):
        note(problem)
    return sorted({validate_queue_name(name) for name in chosen}) if chosen else queue_names(store, scan=scan)


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
        remark = store.remark
    kept = [each for each in found if show_empty or each.waiting or each.problem or each.paused]

    emit(options.as_json, {"queues": kept}, lambda out, answer: show_queues(out, answer["queues"]))
    note_if_none(kept, remark)


@queue.command()
@common
@click.option("--queue", "chosen", multiple=True, metavar="NAME", help="Only this queue; may be repeated.")
@click.option(
    "--max-scan",
    type=click.IntRange(min=0),
    metavar="N",
    help="Also count records by status, looking at N keys of the server (0: all; may take long).",
)
def stats(options: GlobalOptions, chosen: Sequence[str], max_scan: int | None) -> None:
    """Show the figures of queues: waiting, active, done, failed, waits, run times, throughput.

    They come from counters kept with every change, so this costs the same with ten jobs or ten million.

    JSON: {"at": time, "queues": [{"name", "ready", "later", "active", "oldest_ready_age_seconds", "totals",
    …}]}
    """
    from rrq_cli.store.records import time_of

    with open_store(options) as store:
        found = queue_stats(store, _names(store, chosen, max_scan), max_scan=max_scan)
        at, remark = time_of(store.now_ms()), store.remark

    emit(options.as_json, {"at": at, "queues": found}, lambda out, _: show_stats(out, found))
    note_if_none(any(each.waiting or each.totals.enqueued or each.problem for each in found), remark)


@queue.command()
@common
@click.argument("name", metavar="QUEUE")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Jobs at most.")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Jobs to leave out first.")
def inspect(options: GlobalOptions, name: str, limit: int, offset: int) -> int:
    """Show the jobs of a queue in the order they become due.

    JSON: {"name", "ready", "later", "paused", "offset", "jobs": [job], "problem"}
    """
    with open_store(options) as store:
        (checked,) = _names(store, (name,), None)
        content = inspect_queue(store, checked, limit=limit, offset=offset)
        remark = store.remark
    emit(options.as_json, content, show_content)
    note_if_none(content.waiting or content.problem, remark)
    return ExitCode.FINDING if content.problem else ExitCode.OK
