"""``rrq worker list`` and ``rrq worker drain``: who runs jobs, and asking them to stop.

They need nothing but Redis, so they are of this wheel; the rest of ``rrq worker`` is rrq-orchestrator's.
"""

from collections.abc import Sequence

import click

from rrq_cli import completing
from rrq_cli.exits import ExitCode, UsageProblem
from rrq_cli.output import emit, note, note_if_none
from rrq_cli.params import DURATION, GlobalOptions, common
from rrq_cli.store.client import open_store
from rrq_cli.store.draining import drain_one, find_orchestrators, wait_until_gone
from rrq_cli.store.orchestrators import list_orchestrators, wrong_indexes
from rrq_cli.views.orchestrators import show_drained, show_orchestrators

__all__ = ["drain", "list_"]


@click.command("list")
@common
def list_(options: GlobalOptions) -> None:
    """List the orchestrators, what they hold, and the runners they report.

    JSON: {"orchestrators": [{"id", "state", "status", "active_jobs", "concurrency_limit", "queues", "host",
    "pid", "runners": [{"name", "state", "capacity", "free"}], …}]}
    """
    with open_store(options) as store:
        for problem in wrong_indexes(store):
            note(problem)
        found = list_orchestrators(store)
        remark = store.remark
    emit(options.as_json, {"orchestrators": found}, lambda out, _: show_orchestrators(out, found))
    note_if_none(found, remark)


@click.command()
@common
@click.argument("ids", metavar="[ID]...", nargs=-1, shell_complete=completing.orchestrators)
@click.option("--all", "all_", is_flag=True, help="Every orchestrator that lives.")
@click.option("--wait", is_flag=True, help="Wait until they have left; exit code 1 if one does not.")
@click.option(
    "--wait-timeout",
    type=DURATION,
    default=60.0,
    metavar="TIME",
    help="Longest wait with --wait [default: 60].",
)
def drain(options: GlobalOptions, ids: Sequence[str], all_: bool, wait: bool, wait_timeout: float) -> int:
    """Ask orchestrators to stop in order: claim nothing, let running attempts end, leave.

    An ID may be shortened to its beginning, or given as host:pid. A drained orchestrator ends with code 0, so
    a service manager that always restarts it has to be told as well.

    JSON: {"orchestrators": [{"id", "result": "asked" | "lapsed" | "unknown", "gone"}]}; without --wait "gone"
    is null
    """
    if bool(ids) == all_:
        raise UsageProblem("worker drain: name orchestrators (`rrq worker list` shows them), or give --all")
    with open_store(options) as store:
        chosen = find_orchestrators(store, None if all_ else ids)
        drained = [drain_one(store, each) for each in chosen]
        if wait:
            wait_until_gone(store, drained, wait_timeout)
    emit(options.as_json, {"orchestrators": drained}, lambda out, _: show_drained(out, drained))
    if not drained:
        note("no orchestrator lives")
    fine = all(each.result == "asked" and each.gone is not False for each in drained)
    return ExitCode.OK if drained and fine else ExitCode.FINDING
