"""``rrq worker``, and the daemon ``rrq-orchestrator``."""

import sys
from collections.abc import Mapping
from typing import Any

import click

from rrq_orchestrator.commands.options import (
    config_option,
    load_noting,
    log_options,
    queue_option,
    redis_options,
)
from rrq_orchestrator.commands.watch import watch

__all__ = ["daemon", "run", "worker"]

_HELP = """Run an orchestrator: claim jobs, have runners execute them, settle the outcomes.

SIGTERM or SIGINT: claim nothing more, let running attempts finish (worker_shutdown_grace_period_seconds),
give the others back uncounted; a second one does not wait. While Redis is away it waits. SIGHUP: replace the
runner processes, losing nothing.

Exit codes: 0 stopped, 1 unexpected end, 2 wrong usage, 3 work was abandoned, 78 wrong configuration.
"""


def _run(
    config: str | None,
    queues: tuple[str, ...],
    burst: bool,
    supervised: bool,
    in_process: str | None,
    **overrides: Any,
) -> None:
    from rrq_orchestrator.commands.exits import explained
    from rrq_orchestrator.commands.in_process import app_settings
    from rrq_orchestrator.commands.process import keep_standard_streams, run_orchestrator
    from rrq_orchestrator.commands.signals import exit_cleanly_on_signal

    exit_cleanly_on_signal(hangup_stops=False)
    keep_standard_streams()
    names = {"runner_mode": "runner_management_mode", "prefix": "key_prefix"}
    with explained():
        given = {names.get(key, key): value for key, value in overrides.items()}
        held = None if in_process is None else app_settings(in_process)
        settings, old_names = load_noting(config, given, queues, held)
    if supervised:
        from rrq_orchestrator import logs
        from rrq_orchestrator.commands.supervise import supervise

        command = _child_command(config, queues, burst, {**overrides, "settings": in_process})
        code = supervise(command, settings, logs.configure(settings))
    else:
        from rrq_orchestrator.commands.supervise import follow_parent

        follow_parent()
        code = run_orchestrator(settings, burst=burst, in_process=in_process, old_names=old_names)
    raise click.exceptions.Exit(int(code))


def _child_command(
    config: str | None, queues: tuple[str, ...], burst: bool, overrides: Mapping[str, str | None]
) -> list[str]:
    given = [("--config", config), *(("--queue", queue) for queue in queues)]
    given += [(f"--{key.replace('_', '-')}", value) for key, value in overrides.items()]
    options = [part for option, value in given if value is not None for part in (option, value)]
    return [sys.executable, "-m", "rrq_orchestrator", *options, *(["--burst"] if burst else [])]


def _command(name: str) -> click.Command:
    command: Any = _run
    command = log_options(command)
    command = redis_options(command)
    command = click.option(
        "--runner-mode",
        type=click.Choice(["managed", "external"]),
        help="managed: start the runner processes. external: connect only. For runners that set no mode.",
    )(command)
    command = click.option("--burst", is_flag=True, help="End once no job is ready and none runs.")(command)
    command = click.option(
        "--supervise",
        "supervised",
        is_flag=True,
        help="Run the orchestrator as a child of this process: should it die, its jobs are given back at "
        "once, and another one starts.",
    )(command)
    command = click.option(
        "--settings",
        "in_process",
        metavar="MODULE:ATTR",
        help="Run these Python handlers (a RunnerSettings, a Registry, or RRQSettings with a job_registry) "
        "in this process, as the default runner: no second process, but also nothing that could end a "
        "handler which does not end. Settings of RRQ that the object holds take the place of ./rrq.toml.",
    )(command)
    command = queue_option(command)
    command = config_option(command)
    made: click.Command = click.command(
        name, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]}
    )(command)
    return made


run = _command("run")
daemon = click.version_option(package_name="rrq-orchestrator", prog_name="rrq-orchestrator")(
    _command("rrq-orchestrator")
)


@click.group()
def worker() -> None:
    """Run an orchestrator."""


worker.add_command(run)
worker.add_command(watch)
