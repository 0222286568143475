"""``rrq worker watch``: an orchestrator that starts again when a file changes."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rrq_orchestrator.commands.options import config_option, load, log_options, queue_option, redis_options

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from rrq_orchestrator.commands.process import Factory, Runnable
    from rrq_orchestrator.orchestrator import Orchestrator
    from rrq_protocol import Settings
    from rrq_protocol.settings import RedisTarget, WatchConfig

    Making = Callable[[Settings, RedisTarget, bool, FilteringBoundLogger], Orchestrator]

__all__ = ["watch", "watching"]

_HELP = """Run an orchestrator for development: it starts again when a file changes.

Which files count is said by [rrq.watch]; patterns are written as in .gitignore. What git ignores does not
count. Each restart reads the settings anew, except [rrq.watch]. Managed runners have one process with one
slot; running jobs are given back uncounted at a restart and at the end.

A mistake in the settings or the code ends nothing: the next change is waited for.

Exit codes: 0 stopped, 2 wrong usage, 78 wrong configuration at the start.
"""


@click.command(help=_HELP)
@config_option
@queue_option
@click.option("--path", metavar="FOLDER", help="Folder to watch, with everything below it [default: .].")
@click.option(
    "--pattern",
    "patterns",
    metavar="GLOB",
    multiple=True,
    help="Files that count, in place of those of the settings; may be repeated.",
)
@click.option(
    "--ignore-pattern",
    "ignore_patterns",
    metavar="GLOB",
    multiple=True,
    help="Files and folders to ignore besides those of the settings; '!GLOB' takes one back.",
)
@click.option("--no-gitignore", is_flag=True, help="Do not read .gitignore and .git/info/exclude.")
@click.option(
    "--pre-restart-cmd",
    "commands",
    metavar="COMMAND",
    multiple=True,
    help="Run this before each start, in place of those of the settings, without a shell; may be repeated.",
)
@click.option(
    "--settings",
    "app",
    metavar="MODULE:ATTR",
    help="Serve these Python handlers (a RunnerSettings, a Registry, or RRQSettings with a job_registry) as "
    "the default runner; the same as its app in the settings. Settings of RRQ that the object holds at the "
    "start take the place of ./rrq.toml.",
)
@redis_options
@log_options
def watch(
    config: str | None,
    queues: tuple[str, ...],
    path: str | None,
    patterns: tuple[str, ...],
    ignore_patterns: tuple[str, ...],
    no_gitignore: bool,
    commands: tuple[str, ...],
    app: str | None,
    **overrides: Any,
) -> None:
    """Run an orchestrator for development."""
    from msgspec.structs import replace

    from rrq_orchestrator.commands.exits import explained
    from rrq_orchestrator.commands.in_process import app_settings
    from rrq_orchestrator.commands.process import keep_standard_streams, run_orchestrator
    from rrq_orchestrator.commands.signals import exit_cleanly_on_signal

    exit_cleanly_on_signal()
    keep_standard_streams()
    overrides["key_prefix"] = overrides.pop("prefix")
    with explained():
        held = None if app is None else app_settings(app)
        reload = partial(_load, config, overrides, queues, app, held)
        settings = reload()
        chosen = _chosen(settings.watch, path, patterns, ignore_patterns, no_gitignore, _split(commands))
        code = run_orchestrator(
            settings, hangup_stops=True, factory=watching(reload, replace(settings, watch=chosen))
        )
    raise click.exceptions.Exit(int(code))


def _load(
    config: str | None,
    overrides: Mapping[str, Any],
    queues: Sequence[str],
    app: str | None,
    held: "Settings | None" = None,
) -> "Settings":
    """Return the settings; handlers that ``--settings`` names are run in a process that can be replaced."""
    if app is None:
        return load(config, overrides, queues)
    from msgspec.structs import replace

    from rrq_orchestrator.runners.environment import app_command

    settings = load(config, overrides, queues, held)
    name = settings.default_runner_name
    configured = settings.runners.get(name)
    # A command in the file gives way, as it does to the handlers of `rrq worker run --settings`.
    served = {"app": app} if configured is None or not configured.cmd else {"cmd": app_command(app)}
    runner = {name: {**served, "mode": "managed"}}
    if held is None or config is not None:
        return load(config, {**overrides, "runners": runner}, queues)
    served_by = load(None, {"runners": runner}).runners[name]
    return replace(settings, runners={**settings.runners, name: served_by})


def _split(commands: Sequence[str]) -> list[tuple[str, ...]]:
    try:
        split = [tuple(shlex.split(command)) for command in commands]
    except ValueError as error:
        raise click.BadParameter(f"{error}", param_hint="--pre-restart-cmd") from error
    if not all(split):
        raise click.BadParameter("expected a command, got nothing", param_hint="--pre-restart-cmd")
    return split


def _chosen(
    config: "WatchConfig",
    path: str | None,
    patterns: Sequence[str],
    ignore_patterns: Sequence[str],
    no_gitignore: bool,
    commands: Sequence[tuple[str, ...]],
) -> "WatchConfig":
    """Return the settings with what the command line says on top."""
    from msgspec.structs import replace

    return replace(
        config,
        path=config.path if path is None else path,
        include_patterns=tuple(patterns) or config.include_patterns,
        ignore_patterns=(*config.ignore_patterns, *ignore_patterns),
        no_gitignore=no_gitignore or config.no_gitignore,
        pre_restart_cmds=tuple(commands) or config.pre_restart_cmds,
    )


def watching(
    reload: Callable[[], "Settings"], first: "Settings", making: "Making | None" = None
) -> "Factory":
    """Return what makes orchestrators that start again at each change.

    Args:
        reload: Reads the settings; may raise SettingsError.
        first: The settings at the start; their ``watch`` holds all the time.
        making: Makes each of them.

    Raises:
        SettingsError: The folder or a pattern cannot be used.
    """
    from rrq_orchestrator.watch import watched_folder

    folder = watched_folder(first)
    reload = partial(_from_the_same_file, reload, first.provenance.config_file)

    def make(
        settings: "Settings", target: "RedisTarget", burst: bool, log: "FilteringBoundLogger"
    ) -> "Runnable":
        from rrq_orchestrator.commands.process import make_orchestrator

        life = partial(_from_files, reload, making or make_orchestrator, log)
        return _Watching(life, first.watch, folder, log)

    return make


def _from_the_same_file(reload: "Callable[[], Settings]", file: str | None) -> "Settings":
    """Return the settings, while the file of the start is there.

    A file that is gone, as while git switches branches, does not mean "no settings": with the defaults, jobs
    would be taken from another Redis.

    Raises:
        SettingsError: It is gone, or says something wrong.
    """
    from rrq_protocol import SettingsError

    if file is not None and not Path(file).exists():
        raise SettingsError([f"{file}: the settings file is gone: bring it back, or start anew without it"])
    return reload()


class _Watching:
    """The cycle, and the watching of files around it."""

    def __init__(
        self,
        make: Callable[[], "Orchestrator"],
        config: "WatchConfig",
        folder: Path,
        log: "FilteringBoundLogger",
    ) -> None:
        from rrq_orchestrator.watch import Changes, Cycle
        from rrq_orchestrator.watch.preparation import run_commands

        self._changes = Changes(folder, config)
        self._cycle = Cycle(
            make=make,
            prepare=partial(
                run_commands,
                config.pre_restart_cmds,
                cwd=folder if config.pre_restart_cwd is None else Path(config.pre_restart_cwd).expanduser(),
                timeout_s=config.pre_restart_timeout_seconds,
                log=log,
            ),
            changes=self._changes,
            log=log,
        )
        self._config, self._log = config, log

    def request_stop(self) -> None:
        """See :class:`.process.Runnable`."""
        self._cycle.request_stop()

    def request_restart(self) -> None:
        """See :class:`.process.Runnable`. Never asked for: here SIGHUP is a request to stop."""

    async def run(self) -> int:
        """See :class:`.process.Runnable`."""
        async with self._changes as changes:
            self._log.info(
                "watch.started", path=str(changes.folder), files=list(self._config.include_patterns)
            )
            return await self._cycle.run()


def _from_files(
    reload: Callable[[], "Settings"], making: "Making", log: "FilteringBoundLogger"
) -> "Orchestrator":
    from rrq_orchestrator.watch import for_watching
    from rrq_protocol import SettingsError
    from rrq_protocol.settings import resolve_redis

    settings = for_watching(reload())
    target = resolve_redis(settings)
    if target.problem is not None:
        raise SettingsError([target.problem])
    return making(settings, target, False, log)
