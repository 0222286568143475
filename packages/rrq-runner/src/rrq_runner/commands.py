"""The ``rrq-runner`` command, and ``rrq runner`` where the ``rrq`` command is installed."""

import os
from typing import Final

import click

from rrq_runner.address import (
    SETTINGS_VARIABLE,
    AddressOptions,
    is_without_address,
    variable,
    warn_old_name,
)
from rrq_runner.loader import add_working_directory, load_runner_settings
from rrq_runner.runtime import endpoint_from, run_process
from rrq_runner.server import runner_version
from rrq_runner.settings import RunnerSettings

__all__ = ["OLD_COMMAND", "executor", "python", "runner"]


OLD_COMMAND: Final = "rrq-executor"
"""Context object of a call by the old name, which without any address speaks over stdin and stdout."""

_OLD_GROUP: Final = "rrq_runner.old_group"
"""Key in ``Context.meta`` of a call by ``rrq executor``, which launches what ``rrq-executor`` is."""


@click.command("python")
@click.option("--settings", "reference", metavar="MODULE:ATTR", help="The RunnerSettings object to serve.")
@click.option("--unix-socket", metavar="PATH", help="Listen on a Unix socket. Its folder is made if missing.")
@click.option("--tcp-socket", metavar="HOST:PORT", help="Listen on a loopback TCP port; port 0 chooses one.")
@click.option(
    "--stdio", is_flag=True, help="Read requests from stdin, write responses to stdout, one per line."
)
@click.option("--socket", "old_socket", metavar="PATH", hidden=True)
@click.version_option(runner_version(), prog_name="rrq-runner")
@click.pass_context
def python(
    context: click.Context,
    reference: str | None,
    unix_socket: str | None,
    tcp_socket: str | None,
    stdio: bool,
    old_socket: str | None,
) -> None:
    """Serve Python job handlers to an orchestrator.

    MODULE is imported with the current directory on the import path, as "python -m" does (unless
    PYTHONSAFEPATH is set). ATTR is a RunnerSettings, or a Registry.

    Without an address option the environment decides: RRQ_RUNNER_SOCKET or RRQ_RUNNER_TCP_SOCKET, which an
    orchestrator sets for the runners it starts. RRQ_RUNNER_SETTINGS stands for --settings.

    SIGTERM lets handlers finish within the settings' grace; a second one cancels them.

    Exit codes: 0 stopped, 1 could not start, 2 wrong usage, 3 handlers were abandoned, 78 the settings cannot
    be loaded.
    """
    if old_socket is not None:
        warn_old_name("--socket", "--unix-socket")
        unix_socket = unix_socket or old_socket
    reference = reference or variable(SETTINGS_VARIABLE, os.environ)
    if reference is None:
        raise click.UsageError(f"no settings: give --settings MODULE:ATTR, or set {SETTINGS_VARIABLE}")
    named = reference

    def load() -> RunnerSettings:
        add_working_directory()
        return load_runner_settings(named)

    options = AddressOptions(tcp_socket, unix_socket, stdio)
    old = context.find_root().obj == OLD_COMMAND or _OLD_GROUP in context.meta
    if old and is_without_address(options, os.environ):
        warn_old_name("rrq-executor without an address", "rrq-runner --stdio")
        options = AddressOptions(stdio=True)
    context.exit(run_process(load, endpoint_from(options)))


@click.group("runner")
def runner() -> None:
    """Run job handlers."""


runner.add_command(python)


@click.group("executor")
@click.pass_context
def executor(context: click.Context) -> None:
    """The old name of runner."""
    context.meta[_OLD_GROUP] = True
    warn_old_name("rrq executor", "rrq runner")


executor.add_command(python)
