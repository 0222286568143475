"""Orchestrators and Redis on the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rrq_cli.output import shown
from rrq_cli.shapes import Health, OrchestratorInfo
from rrq_cli.tables import Column, table
from rrq_cli.text import cut, escape
from rrq_cli.words import duration, short_worker

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["held", "orchestrator_table", "place", "show_health"]

_STYLES = {"live": "green", "stray": "red", "lapsed": "red", "reaping": "yellow"}
_LONGEST_ID = 128


def show_health(out: "Console", health: Health) -> None:
    """Print the state of Redis and of every orchestrator, then the verdict."""
    line = shown(health.redis_version or "Redis", "bold")
    answers = "" if health.ping_ms is None else f", answers in {health.ping_ms:.1f} ms"
    line.append_text(shown(f" at {health.redis}{answers}"))
    out.print(line, overflow="fold")
    if health.orchestrators:
        out.print()
        out.print(orchestrator_table(health.orchestrators))
        for each in health.orchestrators:
            if each.problem:
                out.print(shown(f"! {_id_of(each)}: {each.problem}", "yellow"), overflow="fold")
    out.print()
    for finding in health.findings:
        mark, style = ("!", "yellow") if health.healthy else ("✗", "red")
        out.print(shown(f"{mark} {finding}", style), overflow="fold")
    if health.healthy:
        out.print(shown("✓ healthy", "green"))


def orchestrator_table(found: Sequence[OrchestratorInfo]) -> object:
    """Return a table of orchestrators, one per line."""
    columns = [
        Column("Orchestrator", whole=True),
        Column("State", keep=2),
        Column("Lease", right=True, keep=1),
        Column("Active", right=True, keep=1),
    ]
    columns.append(Column("Queues", elastic=True))
    places = [place(each) for each in found]
    if not any(places):
        return table(columns, [_row(each) for each in found])
    columns.append(Column("Where", elastic=True))
    return table(columns, [(*_row(each), where) for each, where in zip(found, places, strict=True)])


def place(each: OrchestratorInfo) -> str | None:
    """Return host and process id, unless the id says the same."""
    found = each.host if each.pid is None else f"{each.host or ''}:{each.pid}"
    return None if found == short_worker(each.id) else found


def held(each: OrchestratorInfo) -> str:
    """Return how many jobs it holds, of how many it can where it tells, as in ``2/10``."""
    limit = "" if each.concurrency_limit is None else f"/{each.concurrency_limit}"
    return f"{each.active_jobs}{limit}"


def _id_of(each: OrchestratorInfo) -> str:
    return cut(escape(each.id), _LONGEST_ID)


def _row(each: OrchestratorInfo) -> tuple[object, ...]:
    left = each.lease_seconds_left
    lease = "–" if left is None else duration(abs(left))
    if each.state == "lapsed":
        lease += " ago"
    return (
        shown(_id_of(each)),
        shown(each.state, _STYLES[each.state]),
        lease,
        held(each),
        ", ".join(each.queues) or None,
    )
