"""The root of the command line, and the one place where errors become messages and exit codes."""

import io
import itertools
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from rrq_cli.exits import ExitCode, explain
from rrq_cli.hints import after_dashes, completed
from rrq_cli.params import GlobalOptions, global_options, options_of, remember
from rrq_cli.plugins import Lazy, LazyGroup, Missing
from rrq_cli.streams import complain, is_closed, silence_stdout
from rrq_cli.text import escape_lines

__all__ = ["reader_gone", "root", "run"]

_OWN = {
    "init": Lazy("rrq_cli.commands.init:init", "Write a project that runs: settings, handlers, a producer."),
    "demo": Lazy("rrq_cli.commands.demo:demo", "Watch RRQ work on real files, from nothing."),
    "top": Lazy("rrq_cli.commands.top:top", "Everything at a glance, live; with keys to act."),
    "queue": Lazy("rrq_cli.commands.queue:queue", "Queues: list, stats, inspect, pause, resume, purge."),
    "job": Lazy("rrq_cli.commands.job:job", "Jobs: show, list, trace, why, wait, replay, cancel."),
    "dlq": Lazy("rrq_cli.commands.dlq:dlq", "Dead letters: list, inspect, stats, requeue, purge."),
    "check": Lazy("rrq_cli.commands.check:check", "Is Redis there, and does an orchestrator live?"),
    "config": Lazy("rrq_cli.commands.config:config", "Show and check the settings."),
    "debug": Lazy("rrq_cli.commands.debug:debug", "Try things out: submit, generate, stress-test, clear."),
    "completion": Lazy("rrq_cli.commands.completion:completion", "Complete commands in bash, zsh or fish."),
}
_ELSEWHERE = {
    "cron": Missing("rrq-orchestrator", "Jobs on a schedule: list, trigger."),
    "dev": Missing("rrq-orchestrator", "Embedded Redis and a worker for development."),
    "doctor": Missing("rrq-orchestrator", "Is the server fit, and is every stored job in order?"),
    "embedded": Missing("rrq-orchestrator", "The project's own Redis: start, stop, status."),
    "executor": Missing("rrq-runner", "The old name of runner."),
    "runner": Missing(
        "rrq-runner",
        "Serve Python handlers; try a runner of any language.",
        {
            "conformance": Missing("rrq-orchestrator", "Try whether a program is a runner."),
            "python": Missing("rrq-runner", "Serve Python job handlers to an orchestrator."),
        },
    ),
    "worker": Missing(
        "rrq-orchestrator",
        "Orchestrators: run, watch, list, drain.",
        {
            "list": Lazy("rrq_cli.commands.worker:list_", "List the orchestrators."),
            "drain": Lazy("rrq_cli.commands.worker:drain", "Ask orchestrators to stop in order."),
        },
    ),
}
_SIGNALS = 128
_WHEELS = ("rrq-cli", "rrq-protocol", "rrq-producer", "rrq-runner", "rrq-orchestrator")


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    for wheel in _WHEELS:
        try:
            click.echo(f"{wheel} {version(wheel)}")
        except PackageNotFoundError:
            continue
    ctx.exit()


@click.group(
    cls=LazyGroup, own=_OWN, elsewhere=_ELSEWHERE, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the versions and exit.",
)
@global_options
@click.pass_context
def root(ctx: click.Context, /, **values: Any) -> None:
    """RRQ, the reliable Redis queue: queues, jobs, dead letters and orchestrators at a glance.

    The options below may also stand after the command. Exit codes: 0 fine, 1 a finding or a failure, 2 wrong
    usage, 3 stopped by force, 78 wrong configuration.
    """
    remember(ctx, values)
    if isinstance(ctx.command, LazyGroup):
        ctx.command.hand_over(ctx)


def run(args: Sequence[str]) -> int:
    """Run the command line and return its exit code; messages go to stderr, with ``--json`` to stdout too."""
    if "_RRQ_COMPLETE" in os.environ:
        root.main(args=list(args), prog_name="rrq")
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets its number; the command goes on.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    given = GlobalOptions()
    try:
        with root.make_context("rrq", list(args)) as ctx:
            try:
                result = root.invoke(ctx)
            finally:
                given = options_of(ctx)
            return result if isinstance(result, int) and not isinstance(result, bool) else ExitCode.OK
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return reader_gone()
    except click.ClickException as error:
        hint = after_dashes(error, args) if isinstance(error, click.NoSuchOption) else ""
        text = _shown(error) + "\n".join(escape_lines(hint))
        return _failed(error.exit_code, text, error.format_message() + hint, _wants_json(args))
    except Exception as error:
        explained = explain(error)
        if explained is None:
            raise
        code, message = explained
        message = completed(message, given)
        head, *more = escape_lines(message)
        text = "\n".join([f"rrq: {head}", *more])
        return _failed(code, text, message, given.as_json or _wants_json(args))


def _failed(code: int, text: str, message: str, as_json: bool) -> int:
    """Tell what went wrong, and return the exit code. A program that asked for JSON gets it on stdout too,
    unless it was a signal that ended the command.
    """
    as_json = as_json and code < _SIGNALS
    if not (as_json and is_closed(2)):  # else both would come on stdout
        complain(text)
    if as_json:
        from rrq_cli.output import json_text

        sys.stdout.write(json_text({"error": message, "exit_code": int(code)}) + "\n")
    return code


def _wants_json(args: Sequence[str]) -> bool:
    """Whether JSON was asked for, as far as that can be told of a command line nobody understood."""
    return "--json" in itertools.takewhile(lambda word: word != "--", args)


def _shown(error: click.ClickException) -> str:
    """Return what click would print itself, were standard error always open."""
    text = io.StringIO()
    error.show(file=text)
    return "\n".join(escape_lines(text.getvalue().rstrip("\n")))


def reader_gone() -> int:
    """Whoever read our output has stopped; nothing may be written any more, at exit neither."""
    silence_stdout()
    return ExitCode.BROKEN_PIPE
