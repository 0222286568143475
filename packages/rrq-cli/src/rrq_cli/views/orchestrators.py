"""Orchestrators and their runners on the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rrq_cli.output import shown, titled
from rrq_cli.shapes import Drained, OrchestratorInfo
from rrq_cli.tables import Column, table
from rrq_cli.text import cut, escape
from rrq_cli.views.health import orchestrator_table
from rrq_cli.words import number, plural, short_worker

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["print_runners", "show_drained", "show_orchestrators"]

_STYLES = {"ready": "green", "broken": "red", "starting": "yellow", "stopping": "yellow"}
_LONGEST_ID = 128


def show_orchestrators(out: "Console", found: Sequence[OrchestratorInfo]) -> None:
    """Print the orchestrators, and below them the runners they report."""
    if not found:
        out.print(shown("No orchestrator is known.", "dim"))
        return
    out.print(orchestrator_table(found))
    for each in found:
        if each.problem:
            out.print(shown(f"! {_id(each.id)}: {each.problem}", "yellow"), overflow="fold")
    if any(each.runners for each in found):
        out.print()
        titled(out, "Runners")
        print_runners(out, found)


def print_runners(out: "Console", found: Sequence[OrchestratorInfo]) -> None:
    """Print the runners of orchestrators, one per line."""
    columns = [
        Column("Runner", most=32),
        Column("State", keep=2, most=12),
        Column("Slots", right=True),
        Column("Free", right=True),
    ]
    columns.append(Column("Orchestrator", elastic=True))
    rows = [
        (
            runner.name,
            shown(runner.state, _STYLES.get(runner.state or "", "")),
            number(runner.capacity),
            number(runner.free),
            short_worker(each.id),
        )
        for each in found
        for runner in each.runners or ()
    ]
    out.print(table(columns, rows))


_WORDS = {
    "asked": "was asked to stop",
    "lapsed": "has a lease that is past: it died, hangs, or lost Redis; nobody was asked",
    "unknown": "has no lease; nobody was asked",
}


def show_drained(out: "Console", drained: Sequence[Drained]) -> None:
    """Print who was asked, and who has left."""
    for each in drained:
        words = _WORDS.get(each.result, each.result)
        if each.result == "asked" and each.gone is not None:
            words = "has left" if each.gone else "was asked to stop and has not left yet"
        style = "green" if each.result == "asked" and each.gone is not False else "yellow"
        out.print(shown(f"{_id(each.id)} {words}", style), overflow="fold")
    if len(drained) > 1:
        asked = sum(each.result == "asked" for each in drained)
        out.print(shown(f"{plural(asked, 'orchestrator')} of {len(drained)} asked", "dim"))


def _id(text: str) -> str:
    return cut(escape(text), _LONGEST_ID)
