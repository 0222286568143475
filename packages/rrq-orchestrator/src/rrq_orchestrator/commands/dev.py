"""``rrq dev``: everything a developer needs, in one terminal."""

from functools import partial
from typing import Final

import click
import msgspec

from rrq_orchestrator.commands.options import config_option, embedded_folder, load, log_options, queue_option

__all__ = ["EXAMPLE_HANDLERS", "EXAMPLE_SETTINGS", "dev"]

EXAMPLE_SETTINGS: Final = """\
[rrq]
redis_dsn = "embedded://.rrq"

[rrq.runners.python]
app = "handlers:registry"
"""
EXAMPLE_HANDLERS: Final = """\
from rrq_runner import Context, Registry

registry = Registry()


@registry.handler("hello")
async def hello(ctx: Context, name: str) -> str:
    return f"Hello, {name}!"
"""


@click.command()
@config_option
@queue_option
@click.option(
    "--watch/--no-watch",
    default=True,
    show_default=True,
    help="Start the orchestrator again when a file changes ([rrq.watch]).",
)
@log_options
def dev(
    config: str | None,
    queues: tuple[str, ...],
    watch: bool,
    log_format: str | None,
    log_level: str | None,
) -> None:
    """Run Redis, an orchestrator and your handlers, until Ctrl-C.

    Redis is a Valkey server of the project's own, in the folder redis_dsn names ("embedded://.rrq");
    every other rrq command and producer run from here finds it. It ends with the last `rrq dev` here, is
    started again when it was killed, and its data stays there. With another redis_dsn that server is used.

    When a file changes, the handlers start again with what it holds now: one process with one job at a time.
    """
    from rrq_orchestrator.commands.exits import ExitCode, explained, fail
    from rrq_orchestrator.commands.process import keep_standard_streams, make_talkative, run_orchestrator
    from rrq_orchestrator.commands.signals import exit_cleanly_on_signal
    from rrq_orchestrator.commands.watch import watching
    from rrq_orchestrator.embedded import Keeper, serving
    from rrq_orchestrator.logs import get_logger

    exit_cleanly_on_signal()
    keep_standard_streams()
    with explained():
        reload = partial(load, config, {"log_format": log_format, "log_level": log_level}, queues)
        settings = reload()
        if not settings.runners:
            fail(_what_to_create(settings.provenance.config_file), ExitCode.CONFIGURATION)
        if "log_format" not in (settings.provenance.given or ()):
            settings = msgspec.structs.replace(settings, log_format="pretty")
        factory = watching(reload, settings, make_talkative) if watch else make_talkative
        folder = embedded_folder(settings)
        if folder is None:
            code = run_orchestrator(settings, hangup_stops=True, factory=factory)
        else:
            with serving(folder) as server, Keeper(folder, get_logger):
                click.echo(f"rrq dev: Valkey {server.version} in {server.folder}; Ctrl-C ends all", err=True)
                code = run_orchestrator(settings, hangup_stops=True, factory=factory)
    raise click.exceptions.Exit(int(code))


def _what_to_create(config_file: str | None) -> str:
    if config_file is not None:
        return (
            f"no runner is configured in {config_file}, so nothing would execute jobs. Add one:\n\n"
            '[rrq.runners.python]\napp = "handlers:registry"'
        )
    return (
        "there is no rrq.toml here, so nothing would execute jobs. `rrq init` makes a project that runs; or "
        "create two files and run this again.\n\n"
        f"rrq.toml:\n\n{_indented(EXAMPLE_SETTINGS)}\nhandlers.py:\n\n{_indented(EXAMPLE_HANDLERS)}"
    )


def _indented(text: str) -> str:
    return "".join(f"    {line}" if line.strip() else line for line in text.splitlines(keepends=True))
