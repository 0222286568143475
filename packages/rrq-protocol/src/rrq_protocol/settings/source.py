"""Where settings come from, and which source wins: command line > environment > ``.env`` > file > default."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rrq_protocol.errors import SettingsError
from rrq_protocol.settings.aliases import rename_old_keys
from rrq_protocol.settings.certificates import CERTIFICATES, certificate_problems
from rrq_protocol.settings.environ import align_names, read_environment
from rrq_protocol.settings.model import Settings
from rrq_protocol.settings.parse import Draft, draft_tree, layer
from rrq_protocol.settings.secret import read_dsn_file
from rrq_protocol.settings.toml_file import ALLOW_INSECURE, OLD_CONFIG_VARIABLE, find_config, read_config
from rrq_protocol.settings.tree import DEFAULT, OVERRIDE, Leaf, Origin, Table, merge

__all__ = ["draft_settings", "load_settings", "load_settings_with_origins"]

_PRECEDENCE: Final = ("default", "file", "dotenv", "environment", "override")


def load_settings(
    config: str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> Settings:
    """Read the settings from all their sources.

    Args:
        config: The file; else ``RRQ_CONFIG``, else ``./rrq.toml`` if there is one.
        environ: The environment; the process's own by default. ``.env`` fills its gaps if python-dotenv is
            there.
        overrides: Values that win over everything, as given on a command line: keys of the model, nested as
            in TOML or dotted (``"runners.python.pool_size"``); None means "not given".
        cwd: The folder relative paths start from; the process's own by default.

    Raises:
        SettingsError: With every problem found, each naming the key, what was expected and what came.
    """
    settings, _ = load_settings_with_origins(config, environ=environ, overrides=overrides, cwd=cwd)
    return settings


def load_settings_with_origins(
    config: str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> tuple[Settings, Mapping[str, Origin]]:
    """Like :func:`load_settings`, and also say where each value came from.

    Returns:
        The settings, and an :class:`Origin` for every key, by dotted path without ``rrq``
        (``"runners.python.pool_size"``), in the order of the model.
    """
    draft = draft_settings(config, environ=environ, overrides=overrides, cwd=cwd)
    if draft.problems:
        raise SettingsError(draft.problems)
    return draft.settings, draft.origins


def draft_settings(
    config: str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> Draft:
    """Like :func:`load_settings_with_origins`, and return also settings that have problems, for who looks for
    more of them.

    Raises:
        SettingsError: The file cannot be read at all.
    """
    folder = Path.cwd() if cwd is None else Path(cwd)
    variables = os.environ if environ is None else environ
    dotenv = _read_dotenv(folder, variables)
    named = {**dotenv, **variables}

    table, config_file = Table({}, DEFAULT), None
    found = find_config(config, named, folder)
    if found is not None:
        if found[1] == OLD_CONFIG_VARIABLE:
            warnings.warn(
                f"{OLD_CONFIG_VARIABLE} is an old name, set RRQ_CONFIG", DeprecationWarning, stacklevel=3
            )
        allow_insecure = named.get(ALLOW_INSECURE, "") not in ("", "0")
        file = read_config(*found, allow_insecure=allow_insecure)
        table, config_file = file.table, str(file.path)
    problems = rename_old_keys(table)

    for values, kind in ((dotenv, "dotenv"), (variables, "environment")):
        upper, found_problems = read_environment(values, "dotenv" if kind == "dotenv" else "environment")
        problems += found_problems + rename_old_keys(upper)
        table = merge(table, align_names(upper, table))
    upper, found_problems = layer(_nested(overrides or {}), OVERRIDE)
    problems += found_problems
    table = merge(table, upper)
    config_folder = None if config_file is None else Path(config_file).parent
    dsn_file, found_problems = _read_dsn_file(table, folder, config_folder)
    problems += found_problems + _check_certificates(table, folder, config_folder)
    return draft_tree(table, config_file=config_file, problems=problems, dsn_file=dsn_file)


def _read_dotenv(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what ``.env`` adds to the environment, which wins; nothing without python-dotenv."""
    path = folder / ".env"
    if not path.is_file():
        return {}
    try:
        from dotenv import dotenv_values
    except ImportError:
        return {}
    try:
        values = dotenv_values(path)
    except (OSError, ValueError) as error:
        raise SettingsError([f"{path}: cannot be read: {error}"]) from error
    return {key: value for key, value in values.items() if value is not None and key not in environ}


def _nested(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Spell dotted keys out as tables."""
    result: dict[str, Any] = {}
    for key, value in overrides.items():
        if value is None:
            continue
        target = result
        *parents, last = str(key).split(".")
        for part in parents:
            below = target.get(part)
            target[part] = dict(below) if isinstance(below, Mapping) else {}
            target = target[part]
        below = target.get(last)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = {**below, **value}
        target[last] = value
    return result


def _read_dsn_file(table: Table, cwd: Path, config_folder: Path | None) -> tuple[str | None, list[str]]:
    """Put the content of ``redis_dsn_file`` in place of ``redis_dsn``, unless a higher source gave that.

    Returns:
        The path of the file, if its content counts, and problems.
    """
    node, given = table.entries.get("redis_dsn_file"), table.entries.get("redis_dsn")
    if not isinstance(node, Leaf) or not isinstance(node.value, str):
        return None, []
    if given is not None:
        rank, other = _PRECEDENCE.index(node.origin.kind), _PRECEDENCE.index(given.origin.kind)
        if rank == other:
            return None, [f"rrq.redis_dsn_file: is set together with redis_dsn; keep one ({node.origin})"]
        if rank < other:
            return None, []
    path = str(_absolute(node, cwd, config_folder))
    try:
        text = read_dsn_file(path)
    except ConnectionError as error:
        return None, [f"rrq.{error} ({node.origin})"]
    origin = Origin("file", f"{path} (redis_dsn_file, {node.origin})")
    table.entries["redis_dsn"] = Leaf(text, origin, text=True)
    return path, []


def _check_certificates(table: Table, cwd: Path, config_folder: Path | None) -> list[str]:
    """Make the paths of certificates absolute, and return what is wrong with the files."""
    leaves: dict[str, Leaf] = {}
    for key in CERTIFICATES:
        node = table.entries.get(key)
        if isinstance(node, Leaf) and isinstance(node.value, str) and node.value:
            path = str(_absolute(node, cwd, config_folder))
            table.entries[key] = leaves[key] = Leaf(path, node.origin, node.text)
    found = certificate_problems({key: Path(str(leaf.value)) for key, leaf in leaves.items()})
    return [f"rrq.{key}: {text} ({leaves[key].origin})" for key, text in found]


def _absolute(node: Leaf, cwd: Path, config_folder: Path | None) -> Path:
    """Return the path in a leaf: relative ones start where their source is."""
    from_file = node.origin.kind == "file" and config_folder is not None
    folder = config_folder if from_file and config_folder is not None else cwd
    return (folder / str(node.value)).absolute()
