"""``rrq demo``: watch RRQ work on real files, from nothing."""

import click

from rrq_cli.demo.display import make_display
from rrq_cli.demo.flow import run_demo, server_runs
from rrq_cli.demo.interrupts import Interrupted, Interrupts
from rrq_cli.demo.plan import make_plan
from rrq_cli.demo.summary import next_commands, show_result
from rrq_cli.exits import CliError, ExitCode
from rrq_cli.output import emit
from rrq_cli.params import GlobalOptions, only_json

__all__ = ["demo"]


@click.command()
@only_json("the demo brings a Redis and settings of its own; --dir says where")
@click.option(
    "--files",
    metavar="PATH",
    help="Folder with Python files, or one file [default: Python's standard library].",
)
@click.option(
    "--dir",
    "folder",
    metavar="FOLDER",
    default=".rrq",
    show_default=True,
    help="Where the server lives and its data stays.",
)
@click.option(
    "--processes", type=click.IntRange(1, 256), metavar="N", help="Runner processes [default: one per CPU]."
)
def demo(options: GlobalOptions, files: str | None, folder: str, processes: int | None) -> int:
    """Watch RRQ work: an embedded Valkey, an orchestrator, runner processes, and a job for every Python file.

    Each job parses its file and counts what is in it. Files that cannot be parsed fail, are retried, and end
    in the dead letter queue. Afterwards Valkey is left running, so that the other commands have something to
    show. Ctrl-C at any point leaves nothing behind.

    JSON: {"files", "enqueued", "completed", "dead_lettered", "retried", "seconds", "jobs_per_second",
    "exactly_once", "largest_functions": […], "dlq": […], "server", "commands"}
    """
    # To the end: once all is done, a late Ctrl-C does not cut the summary off.
    with Interrupts() as interrupts:
        plan = make_plan(files, folder, processes)
        try:
            interrupts.check()
            result = run_demo(plan, make_display(quiet=options.as_json), interrupts)
        except Interrupted as interrupted:
            left = "only the Valkey that ran before" if server_runs(plan) else "nothing of it"
            # As a shell tells of a program that a signal ended.
            code = 128 + interrupted.number
            raise CliError(f"the demo was stopped; {left} is left running", code) from None
        result.commands = next_commands(plan, result)
        base = plan.files if plan.files.is_dir() else plan.files.parent
        emit(options.as_json, result, lambda out, value: show_result(out, value, base))
        return ExitCode.OK if result.exactly_once else ExitCode.FINDING
