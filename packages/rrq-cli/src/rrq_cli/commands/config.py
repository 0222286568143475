"""``rrq config``: the settings in force, and whether they are right."""

from typing import TYPE_CHECKING, Any

import click
import msgspec

from rrq_cli.configuration import settings_with_origins
from rrq_cli.output import emit, shown, titled
from rrq_cli.params import GlobalOptions, common
from rrq_cli.tables import Column, table

if TYPE_CHECKING:
    from rich.console import Console

    from rrq_protocol import Settings

__all__ = ["config"]


@click.group()
def config() -> None:
    """Show and check the settings: file, environment and command line together."""


def _load(options: GlobalOptions) -> "tuple[Settings, dict[str, str]]":
    settings, origins = settings_with_origins(options)
    return settings, {key: str(origin) for key, origin in origins.items()}


def _at(settings: Any, dotted: str) -> Any:
    """Return the value at a key path; secrets are masked, environments of runners show names only."""
    from rrq_protocol import Secret

    value = settings
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
    return (
        str(value) if isinstance(value, Secret) else msgspec.to_builtins(value, enc_hook=str, str_keys=True)
    )


def _is_private(dotted: str) -> bool:
    return ".env." in dotted or dotted.endswith(".env")


@config.command()
@common
@click.option("--origin", is_flag=True, help="Also say where each value comes from.")
@click.option("--changed", is_flag=True, help="Only what differs from the defaults.")
def show(options: GlobalOptions, origin: bool, changed: bool) -> None:
    """Show the settings in force; secrets are masked.

    JSON: {"file", "settings": {"key.path": {"value", "origin"}}}
    """
    settings, origins = _load(options)
    entries = {
        key: {
            "value": "***" if _is_private(key) and source != "default" else _at(settings, key),
            "origin": source,
        }
        for key, source in origins.items()
        if not changed or source != "default"
    }

    def view(out: "Console", _: object) -> None:
        titled(out, "Settings", settings.provenance.config_file or "no file")
        columns = [
            Column("Key", whole=True),
            Column("Value", elastic=True),
            *([Column("From")] if origin else []),
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

    JSON: {"ok": true, "file"}
    """
    settings, _ = _load(options)
    file = settings.provenance.config_file
    emit(
        options.as_json,
        {"ok": True, "file": file},
        lambda out, _: out.print(
            shown(f"✓ the settings are right ({file or 'no file; defaults and environment'})", "green"),
            overflow="fold",
        ),
    )
