"""``rrq config``: the settings in force, and whether they are right."""

from typing import TYPE_CHECKING, Any

import click
import msgspec

from rrq_cli.configuration import draft_of, settings_with_origins
from rrq_cli.exits import ExitCode
from rrq_cli.masking import masked, masked_command
from rrq_cli.output import emit, shown, titled
from rrq_cli.params import GlobalOptions, common
from rrq_cli.settings_checks import problems_of_others
from rrq_cli.tables import Column, table

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["config"]


@click.group()
def config() -> None:
    """Show and check the settings: file, environment and command line together."""


def _at(settings: Any, dotted: str) -> Any:
    """Return the value at a key path; secrets are masked, environments of runners show names only.

    In commands and in parameters of cron jobs the names say what is a secret.
    """
    from rrq_protocol import Secret

    value = settings
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
    if isinstance(value, Secret):
        return str(value)
    plain = msgspec.to_builtins(value, enc_hook=str, str_keys=True)
    if dotted.endswith(".cmd") and plain:
        return masked_command(plain)
    if dotted == "watch.pre_restart_cmds":
        return [masked_command(command) for command in plain]
    if dotted == "cron_jobs":
        return [{**entry, "params": masked(entry["params"])} for entry in plain]
    return plain


def _is_private(dotted: str) -> bool:
    return ".env." in dotted or dotted.endswith(".env")


@config.command()
@common
@click.option("--origin", is_flag=True, help="Also say where each value comes from.")
@click.option("--changed", is_flag=True, help="Only what differs from the defaults.")
def show(options: GlobalOptions, origin: bool, changed: bool) -> None:
    """Show the settings in force; secrets are masked.

    JSON: {"file", "settings": {"key.path": {"value", "origin", "source"}}}; "source" is one of default, file,
    dotenv, environment, override (the command line), "origin" says the same with file and line or variable.
    """
    settings, origins = settings_with_origins(options)
    entries = {
        key: {
            "value": "***" if _is_private(key) and source.kind != "default" else _at(settings, key),
            "origin": str(source),
            "source": source.kind,
        }
        for key, source in origins.items()
        if not changed or source.kind != "default"
    }

    def view(out: "Console", _: object) -> None:
        titled(out, "Settings", settings.provenance.config_file or "no file")
        columns = [
            Column("Key", whole=True),
            Column("Value", whole=True),
            *([Column("From", whole=True)] if origin else []),
        ]
        rows = []
        for key, entry in entries.items():
            style = "" if entry["origin"] != "default" else "dim"
            row = [shown(key, style), shown(_value_text(entry["value"]), style)]
            rows.append([*row, shown(entry["origin"], style)] if origin else row)
        out.print(table(columns, rows))

    emit(options.as_json, {"file": settings.provenance.config_file, "settings": entries}, view)


def _value_text(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@config.command()
@common
def check(options: GlobalOptions) -> None:
    """Check the settings without connecting to anything; exit code 78 when something is wrong.

    Every problem is named, with the key, where it was set, and the nearest known key. Warnings (old names,
    secrets that other users can read, cron entries for queues that these settings do not serve) leave the
    exit code 0. The other wheels that are installed judge what they alone know: rrq-orchestrator the cron
    entries.

    JSON: {"ok", "file", "problems": [text], "warnings": [text]}
    """
    file, problems, warnings = _judged(options)
    if problems and not options.as_json:
        from rrq_protocol import SettingsError

        raise SettingsError(problems)

    def view(out: "Console", _: object) -> None:
        right = f"✓ the settings are right ({file or 'no file; defaults and environment'})"
        out.print(shown(right, "green"), overflow="fold")
        for warning in warnings:
            out.print(shown(f"! {warning}", "yellow"), overflow="fold")

    emit(
        options.as_json,
        {"ok": not problems, "file": file, "problems": problems, "warnings": warnings},
        view,
    )
    if problems:
        raise click.exceptions.Exit(int(ExitCode.CONFIGURATION))


def _judged(options: GlobalOptions) -> tuple[str | None, list[str], list[str]]:
    """Return the file that was read, the problems, and the warnings."""
    import warnings

    from rrq_protocol import SettingsError
    from rrq_protocol.settings import find_exposed, find_unserved

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeprecationWarning)
        try:
            draft = draft_of(options)
        except SettingsError as error:
            return None, list(error.problems), []
    old = [str(each.message) for each in caught if issubclass(each.category, DeprecationWarning)]
    found = [*draft.problems, *draft.concerning(problems_of_others(draft.settings))]
    problems = list(SettingsError(found).problems)  # each on one line, whatever stands in a name
    exposed = find_exposed(draft.settings, draft.origins)
    lost = draft.concerning(find_unserved(draft.settings))
    return draft.settings.provenance.config_file, problems, [*old, *exposed, *lost]
