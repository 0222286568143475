"""Orchestrators and Redis on the terminal."""

from typing import TYPE_CHECKING

from rrq_cli.output import Column, shown, table
from rrq_cli.shapes import Health, OrchestratorInfo
from rrq_cli.words import duration

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_health"]

_STYLES = {"live": "green", "lapsed": "red", "reaping": "yellow"}


def show_health(out: "Console", health: Health) -> None:
    """Print the state of Redis and of every orchestrator, then the verdict."""
    line = shown(health.redis_version, "bold")
    line.append_text(shown(f" at {health.redis}, answers in {health.ping_ms:.1f} ms"))
    out.print(line, overflow="fold")
    if health.orchestrators:
        out.print()
        columns = [
            Column("Orchestrator", whole=True),
            Column("State"),
            Column("Lease", right=True),
            Column("Active", right=True),
        ]
        columns += [Column("Queues", ratio=1), Column("Where", ratio=1)]
        grid = table(columns, [_row(each) for each in health.orchestrators])
        out.print(grid)
        for each in health.orchestrators:
            if each.problem:
                out.print(shown(f"! {each.id}: {each.problem}", "yellow"), overflow="fold")
    out.print()
    for finding in health.findings:
        out.print(shown(f"✗ {finding}", "red"), overflow="fold")
    if health.healthy:
        out.print(shown("✓ healthy", "green"))


def _row(each: OrchestratorInfo) -> tuple[object, ...]:
    lease = "–" if each.lease_seconds_left is None else duration(abs(each.lease_seconds_left))
    if each.state == "lapsed":
        lease += " ago"
    limit = "" if each.concurrency_limit is None else f"/{each.concurrency_limit}"
    where = each.host if each.pid is None else f"{each.host or ''}:{each.pid}"
    return (
        each.id,
        shown(each.state, _STYLES[each.state]),
        lease,
        f"{each.active_jobs}{limit}",
        ", ".join(each.queues) or None,
        where,
    )
