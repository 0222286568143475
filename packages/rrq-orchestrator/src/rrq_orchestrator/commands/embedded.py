"""``rrq embedded``: the project's own Redis, started and stopped by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from rrq_orchestrator.commands.exits import ExitCode, explained, fail
from rrq_orchestrator.commands.options import embedded_folder, load

__all__ = ["embedded"]

F = TypeVar("F", bound=Callable[..., Any])


def _options(command: F) -> F:
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command)
    return click.option(
        "--dir", "folder", metavar="FOLDER", help="Its folder [default: what redis_dsn names, else .rrq]."
    )(command)


@click.group()
def embedded() -> None:
    """Start, stop and find the project's own Redis (a Valkey server behind a Unix socket)."""


@embedded.command()
@_options
def start(folder: str | None, as_json: bool) -> None:
    """Start it, unless it runs. It goes on until `stop`; its data stays in the folder."""
    from rrq_orchestrator.embedded import start as start_server

    with explained():
        server = start_server(_folder(folder), tied=False)
    facts = {"running": True, **_facts(server)}
    found = "runs already" if server.kept else "runs already, as long as `rrq dev` does"
    verb = "started" if server.started else found
    _print(facts, f"{verb}: Valkey {server.version}, pid {server.pid}, {server.socket}", as_json)


@embedded.command()
@_options
def stop(folder: str | None, as_json: bool) -> None:
    """Stop it and wait until it is gone; its data stays in the folder."""
    from rrq_orchestrator.embedded import stop as stop_server

    with explained():
        path = _folder(folder)
        stopped = stop_server(path)
    facts = {"running": False, "stopped": stopped, "folder": str(path.absolute())}
    _print(facts, "stopped" if stopped else f"not running in {path}", as_json)


@embedded.command()
@_options
def status(folder: str | None, as_json: bool) -> None:
    """Say whether it runs, and where. Exit code 0 if it runs, 1 if not."""
    from rrq_orchestrator.embedded import status as status_of

    with explained():
        path = _folder(folder)
        server = status_of(path)
    if server is None:
        _print({"running": False, "folder": str(path.absolute())}, f"not running in {path}", as_json)
        raise click.exceptions.Exit(int(ExitCode.UNEXPECTED))
    facts = {"running": True, **_facts(server)}
    _print(facts, f"running: Valkey {server.version}, pid {server.pid}, {server.socket}", as_json)


def _folder(given: str | None) -> Path:
    if given is not None:
        return Path(given)
    settings = load(None, {})
    folder = embedded_folder(settings)
    if folder is None:
        fail(
            f"redis_dsn is {settings.redis_dsn}, which is no embedded server; name its folder with --dir",
            ExitCode.CONFIGURATION,
        )
    return folder


def _facts(server: Any) -> dict[str, Any]:
    return {name: getattr(server, name) for name in ("socket", "pid", "version", "started", "folder")}


def _print(facts: dict[str, Any], text: str, as_json: bool) -> None:
    from rrq_orchestrator.log_text import escape

    click.echo(json.dumps(facts) if as_json else escape(text))
