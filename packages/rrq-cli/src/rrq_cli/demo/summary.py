"""The end of the demo: what came out, and which commands show more."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rrq_cli.demo.plan import DemoPlan
from rrq_cli.demo.results import DemoResult, relative
from rrq_cli.output import shown, titled
from rrq_cli.tables import Column, table
from rrq_cli.words import duration, number, plural

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["next_commands", "show_result"]

_MOST_DEAD = 12


def next_commands(plan: DemoPlan, result: DemoResult) -> dict[str, str]:
    """Return commands that work when pasted into this shell, in this folder, by what they show."""
    before, options = _way_there(plan)
    stop = f"{_rrq()} embedded stop" + (
        f" --dir {shlex.quote(_here(plan.folder))}" if before or options else ""
    )
    rrq = before + _rrq()
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


def _way_there(plan: DemoPlan) -> tuple[str, str]:
    """Return what has to stand before and behind a command that is to find the demo's server from here.

    Variables that are exported here win over a settings file, so where they lead elsewhere the command unsets
    them.
    """
    from rrq_protocol import Keyspace

    config = f" --config {shlex.quote(_here(plan.config))}"
    if _leads_there(plan, None, os.environ):
        return "", ""
    if _leads_there(plan, plan.config, os.environ):
        return "", config
    ours = sorted(name for name in os.environ if name.startswith("RRQ_"))
    unset = "".join(f"-u {shlex.quote(name)} " for name in ours)
    if not _leads_there(plan, plan.config, {}):  # a file .env says otherwise
        config += f" --redis-dsn {shlex.quote(f'embedded://{plan.folder}')} --prefix {Keyspace().prefix}"
    return f"env {unset}" if ours else "", config


def _leads_there(plan: DemoPlan, config: Path | None, environ: Mapping[str, str]) -> bool:
    """Whether a command with these settings looks into the demo's server, and at the demo's keys."""
    from rrq_protocol import Keyspace, RRQError, load_settings
    from rrq_protocol.settings import resolve_redis

    try:
        settings = load_settings(config, environ=environ)
        target = resolve_redis(settings)
    except RRQError:
        return False
    return target.embedded_dir == str(plan.folder) and settings.key_prefix == Keyspace().prefix


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
        nested = f"{plural(result.deepest_nesting, 'block')} deep"
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
    out.print(
        table(
            [
                Column("Lines", right=True),
                Column("Function", most=30, keep=1),
                Column("File", elastic=True, tail=True),
            ],
            rows,
        )
    )


def _show_dead(out: "Console", result: DemoResult, base: Path) -> None:
    out.print()
    if not result.dlq:
        titled(out, "The dead letter queue is empty", "every file could be parsed")
        return
    titled(out, f"In the dead letter queue: {plural(result.dead_lettered, 'file')} that cannot be parsed")
    rows = [(relative(each.path, base), shown(each.error, "red")) for each in result.dlq[:_MOST_DEAD]]
    grid = table(
        [Column("File", most=max(20, out.width // 2), tail=True), Column("Error", elastic=True)], rows
    )
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
