"""Reading ``rrq.toml``: finding it, refusing what is unsafe or broken, and knowing the line of each key."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from rrq_protocol.errors import SettingsError
from rrq_protocol.settings.tree import Origin, Table, from_value
from rrq_protocol.settings.values import describe

__all__ = ["ConfigFile", "find_config", "key_lines", "read_config"]

DEFAULT_NAME: Final = "rrq.toml"
OLD_CONFIG_VARIABLE: Final = "RRQ_EXECUTOR_CONFIG"
ALLOW_INSECURE: Final = "RRQ_ALLOW_INSECURE_CONFIG"
_MAX_BYTES: Final = 4 * 1024 * 1024

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_header = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]\]?").match
_assignment = re.compile(rf"\s*({_DOTTED})\s*=").match
_keys = re.compile(_KEY).findall
_at_position = re.compile(r"^(.*) \(at (?:line (\d+), column (\d+)|end of document)\)$", re.DOTALL).match


class ConfigFile(msgspec.Struct, frozen=True):
    """A configuration file that was read.

    Attributes:
        path: Its absolute path.
        table: Its ``[rrq]`` table, or its root where there is none.
    """

    path: Path
    table: Table


def find_config(
    config: str | os.PathLike[str] | None, environ: Mapping[str, str], cwd: Path
) -> tuple[Path, str] | None:
    """Return the file to read and who named it, or None where there is none.

    A file that was named is returned even if it is missing: that must be an error. ``./rrq.toml`` is
    optional.
    """
    if config is not None:
        return cwd / config, "--config"
    for variable in ("RRQ_CONFIG", OLD_CONFIG_VARIABLE):
        if environ.get(variable):
            return cwd / environ[variable], variable
    default = cwd / DEFAULT_NAME
    return (default, "the current folder") if default.exists() else None


def read_config(path: Path, named_by: str, *, allow_insecure: bool = False) -> ConfigFile:
    """Read and parse one file.

    Args:
        path: The file.
        named_by: Who named it, for the error text.
        allow_insecure: Accept a file that other users can change (RELIABILITY.md S11: it names commands to
            run).

    Raises:
        SettingsError: It is missing, unreadable, unsafe, not UTF-8 or not TOML.
    """
    import tomllib

    text = _read_text(path, named_by, allow_insecure=allow_insecure)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([_syntax_problem(path, text, str(error))]) from error
    except (
        RecursionError,
        ValueError,
    ) as error:  # nested beyond all reason; a number Python refuses to convert
        raise SettingsError([f"{path}: cannot be read as TOML: {type(error).__name__}"]) from error
    section = data.get("rrq", data)
    if not isinstance(section, dict):
        raise SettingsError([f"rrq: expected a table, got {describe(section)} ({path.name})"])
    base = ("rrq",) if "rrq" in data else ()
    lines = key_lines(text)

    def origin_of(key_path: tuple[str, ...]) -> Origin:
        # A key inside an inline table has no line of its own; what encloses it has.
        while key_path and (*base, *key_path) not in lines:
            key_path = key_path[:-1]
        line = lines.get((*base, *key_path)) if key_path else None
        return Origin("file", f"{path.name}:{line}" if line else path.name)

    try:
        table = from_value(section, origin_of)
    except ValueError as error:
        raise SettingsError([f"{error} ({path.name})"]) from error
    assert isinstance(table, Table)
    return ConfigFile(path, table)


def _read_text(path: Path, named_by: str, *, allow_insecure: bool) -> str:
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise SettingsError([f"{path}: expected a file, as named by {named_by}"])
        if not allow_insecure:
            _refuse_if_others_write(path, info)
        if info.st_size > _MAX_BYTES:
            raise SettingsError([f"{path}: {info.st_size} bytes are too many for a configuration file"])
        return path.read_bytes().decode("utf-8-sig")  # some editors write a mark in front
    except FileNotFoundError as error:
        raise SettingsError(
            [f"{path}: no such file, though {named_by} names it; create it, or name another"]
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError([f"{path}: not UTF-8 text (byte {error.start})"]) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingsError([f"{path}: cannot be read: {reason}"]) from error


def _refuse_if_others_write(path: Path, info: os.stat_result) -> None:
    folder = path.resolve().parent.stat()
    advice = f"run `chmod o-w` on it, or set {ALLOW_INSECURE}=1"
    if info.st_mode & stat.S_IWOTH:
        raise SettingsError([f"{path}: any user can change this file, which names commands to run; {advice}"])
    if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        raise SettingsError([f"{path.resolve().parent}: any user can replace files in this folder; {advice}"])


def _syntax_problem(path: Path, text: str, message: str) -> str:
    match = _at_position(message)
    if match is None:
        return f"{path}: not valid TOML: {message}"
    line, column = match[2], match[3]
    if line is None:
        rows = text.split("\n")
        line, column = str(len(rows)), str(len(rows[-1]) + 1)
    # The parser's own words would leave one guessing.
    said = {"Cannot overwrite a value": "this key was set before"}.get(match[1], match[1])
    return f"{path}:{line}:{column}: not valid TOML: {said} (line {line}, column {column})"


def key_lines(text: str) -> dict[tuple[str, ...], int]:
    """Return the line of every table header and key that starts a line, by key path.

    Entries of an array of tables are told apart by a ``[0]`` part. Keys inside inline tables are not found;
    their table is. It is a scan, not a parser: it is only used to say where to look.
    """
    lines: dict[tuple[str, ...], int] = {}
    counts: dict[tuple[str, ...], int] = {}
    prefix: tuple[str, ...] = ()
    closing = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if closing:  # inside a multi-line text
            closing = "" if closing in line else closing
            continue
        if header := _header(line):
            prefix = tuple(_unquote(key) for key in _keys(header[2]))
            for end in range(1, len(prefix)):
                lines.setdefault(prefix[:end], number)
            if header[1] == "[[":
                lines.setdefault(prefix, number)
                counts[prefix] = counts.get(prefix, -1) + 1
                prefix = (*prefix, f"[{counts[prefix]}]")
            lines.setdefault(prefix, number)
        elif assignment := _assignment(line):
            path = (*prefix, *(_unquote(key) for key in _keys(assignment[1])))
            lines.setdefault(path, number)
            rest = line[assignment.end() :]
            closing = next((mark for mark in ('"""', "'''") if rest.count(mark) % 2), "")
    return lines


def _unquote(key: str) -> str:
    return key[1:-1] if key[:1] in ('"', "'") else key
