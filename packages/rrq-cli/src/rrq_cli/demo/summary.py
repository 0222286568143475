"""The end of the demo: what came out, and which commands show more."""

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rrq_cli.demo.plan import DemoPlan
from rrq_cli.demo.results import DemoResult, relative
from rrq_cli.output import Column, shown, table, titled
from rrq_cli.words import duration, number, plural

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["next_commands", "show_result"]

_MOST_DEAD = 12


def next_commands(plan: DemoPlan, result: DemoResult) -> dict[str, str]:
    """Return commands that work when pasted in this folder, by what they show."""
    rrq = _rrq()
    options = "" if _is_default(plan) else f" --config {shlex.quote(_here(plan.config))}"
    stop = f"{rrq} embedded stop" + (f" --dir {shlex.quote(_here(plan.folder))}" if options else "")
    commands = {"queue": f"{rrq} queue stats{options}"}
    example = result.dlq[0].job_id if result.dlq else None
    if example is None and result.largest_functions:
        example = result.largest_functions[0].job_id
    if example is not None:
        commands["trace"] = f"{rrq} job trace {example}{options}"
    return {**commands, "dlq": f"{rrq} dlq list{options}", "stop": stop}


def _rrq() -> str:
    """Return how to call this very command from this folder."""
    ours = Path(sys.executable).with_name("rrq")
    found = shutil.which("rrq")
    if found is not None and Path(found).resolve() == ours.resolve():
        return "rrq"
    if os.access(ours, os.X_OK):
        return shlex.quote(_here(ours))
    return f"{shlex.quote(sys.executable)} -m rrq_cli"


def _here(path: Path) -> str:
    """Return a path as seen from this folder, if it is below."""
    return relative(str(path), Path.cwd())


def _is_default(plan: DemoPlan) -> bool:
    """Whether a command without options finds the demo's server from here."""
    from rrq_protocol import RRQError, load_settings
    from rrq_protocol.settings import resolve_redis

    try:
        settings = load_settings()
        target = resolve_redis(settings)
    except RRQError:
        return False
    return target.embedded_dir == str(plan.folder) and settings.key_prefix == "rrq"


def show_result(out: "Console", result: DemoResult, base: Path) -> None:
    """Print the result; ``base`` is the folder that was worked on."""
    from rich.text import Text

    head = Text("\n")
    if result.exactly_once:
        what = f"{plural(result.files, 'file')} in {duration(result.seconds)}"
        head.append("✓ ", style="green").append(what, style="bold")
        head.append(f", {number(result.jobs_per_second)} jobs/s, each processed exactly once")
    else:
        head.append("✗ ", style="red").append("the figures do not agree", style="bold")
    out.print(head)
    ended = f"{number(result.completed)} completed + {plural(result.dead_lettered, 'dead letter')}"
    retries = f"{plural(result.retried, 'retry', 'retries')} on the way"
    out.print(shown(f"  {number(result.enqueued)} enqueued = {ended}; {retries}"))
    for finding in result.findings[:_MOST_DEAD]:
        out.print(shown(f"  ! {finding}", "red"), overflow="fold")
    counts = f"{number(result.functions)} functions and {number(result.classes)} classes"
    out.print(shown(f"  {counts} in {number(result.lines)} lines", "dim"))
    if result.deepest_path:
        nested = f"{result.deepest_nesting} blocks deep"
        out.print(
            shown(f"  nested most: {relative(result.deepest_path, base)}, {nested}", "dim"), overflow="fold"
        )
    _show_functions(out, result, base)
    _show_dead(out, result, base)
    _show_commands(out, result)


def _show_functions(out: "Console", result: DemoResult, base: Path) -> None:
    if not result.largest_functions:
        return
    out.print()
    titled(out, "The largest functions")
    rows = [
        (number(each.lines), each.name, f"{relative(each.path, base)}:{each.line}")
        for each in result.largest_functions
    ]
    out.print(table([Column("Lines", right=True), Column("Function", most=30), Column("File")], rows))


def _show_dead(out: "Console", result: DemoResult, base: Path) -> None:
    out.print()
    if not result.dlq:
        titled(out, "The dead letter queue is empty", "every file could be parsed")
        return
    titled(out, f"In the dead letter queue: {plural(result.dead_lettered, 'file')} that cannot be parsed")
    rows = [(relative(each.path, base), shown(each.error, "red")) for each in result.dlq[:_MOST_DEAD]]
    grid = table([Column("File", most=max(20, out.width // 2)), Column("Error", ratio=1)], rows)
    out.print(grid)
    if len(result.dlq) > _MOST_DEAD:
        out.print(shown(f"… and {number(len(result.dlq) - _MOST_DEAD)} more", "dim"))


def _show_commands(out: "Console", result: DemoResult) -> None:
    out.print()
    titled(out, "Look further", "Valkey is still running with all of it")
    for name in ("queue", "trace", "dlq"):
        if name in result.commands:
            # One line each, however narrow the window: they are meant to be copied.
            out.print(shown(f"  {result.commands[name]}", "cyan"), soft_wrap=True)
    titled(out, "Stop Valkey")
    out.print(shown(f"  {result.commands['stop']}", "cyan"), soft_wrap=True)
