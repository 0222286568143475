"""Values on their way into the model: a tree whose leaves remember where they came from."""

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import msgspec

__all__ = [
    "DEFAULT",
    "OVERRIDE",
    "Leaf",
    "Node",
    "Origin",
    "Table",
    "from_value",
    "merge",
    "plain",
    "show_path",
]

_MAX_DEPTH = 32
_BARE_KEY = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


class Origin(msgspec.Struct, frozen=True):
    """Where a value was set.

    Attributes:
        kind: The layer; later ones in this order win: default, file, dotenv, environment, override.
        where: File and line, or the name of the variable; empty for the other kinds.
    """

    kind: Literal["default", "file", "dotenv", "environment", "override"]
    where: str = ""

    def __str__(self) -> str:
        words = {"default": "default", "override": "command line", "dotenv": f"{self.where} in .env"}
        return words.get(self.kind, self.where)


DEFAULT = Origin("default")
OVERRIDE = Origin("override")


class Leaf(msgspec.Struct):
    """One value as it was given.

    Attributes:
        text: Whether it is the text of an environment variable, which has no types of its own.
        locate: Where the members of a list come from, by key path, if that is known better than ``origin``.
    """

    value: object
    origin: Origin
    text: bool = False
    locate: Callable[[tuple[str, ...]], Origin] | None = None


class Table(msgspec.Struct):
    """Values by key. ``origin`` is where the table itself was opened."""

    entries: dict[str, "Node"]
    origin: Origin


Node: TypeAlias = Leaf | Table


def from_value(
    value: object, origin_of: Callable[[tuple[str, ...]], Origin], path: tuple[str, ...] = ()
) -> Node:
    """Turn plain data into a tree; mappings become tables, everything else leaves.

    Raises:
        ValueError: The data is nested too deeply, or a key is no text.
    """
    if not isinstance(value, Mapping):
        return Leaf(value, origin_of(path), locate=origin_of)
    if len(path) >= _MAX_DEPTH:
        raise ValueError(f"{show_path(path)}: tables are nested more than {_MAX_DEPTH} deep")
    entries: dict[str, Node] = {}
    for key, member in value.items():
        if not isinstance(key, str):
            raise ValueError(f"{show_path(path)}: expected keys of type str, got {type(key).__name__}")
        entries[key] = from_value(member, origin_of, (*path, key))
    return Table(entries, origin_of(path))


def merge(lower: Table, upper: Table) -> Table:
    """Return both tables in one; where both have a value, ``upper`` wins. Neither is changed."""
    entries = dict(lower.entries)
    for key, node in upper.entries.items():
        below = entries.get(key)
        entries[key] = merge(below, node) if isinstance(below, Table) and isinstance(node, Table) else node
    return Table(entries, upper.origin)


def plain(node: Node) -> object:
    """Return the data of a tree without its origins."""
    if isinstance(node, Leaf):
        return node.value
    return {key: plain(member) for key, member in node.entries.items()}


def show_path(path: tuple[str, ...]) -> str:
    """Return a key path as it is written in TOML, below ``rrq``. Odd keys are quoted, escaped and cut."""
    return "rrq" + "".join(part if _is_position(part) else f".{_show_key(part)}" for part in path)


def _is_position(part: str) -> bool:
    """Whether a path part is a position in a list, e.g. ``[0]``."""
    return part.startswith("[") and part.endswith("]") and part[1:-1].isdecimal()


def _show_key(key: str) -> str:
    if key and len(key) <= 80 and _BARE_KEY.issuperset(key):
        return key
    shown = ascii(key[:80])[1:-1].replace('"', '\\"')
    return f'"{shown}"'
