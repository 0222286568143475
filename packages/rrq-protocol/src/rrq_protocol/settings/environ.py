"""Settings from environment variables: ``RRQ_<KEY>``, nested ``RRQ_RUNNERS__PYTHON__POOL_SIZE``."""

import re
from collections.abc import Mapping
from typing import Final, Literal

from rrq_protocol.settings.aliases import KEY_ALIASES
from rrq_protocol.settings.convert import nearest
from rrq_protocol.settings.model import Settings
from rrq_protocol.settings.schema import environment_name, fields_of
from rrq_protocol.settings.tree import Leaf, Origin, Table

__all__ = ["OTHER_VARIABLES", "align_names", "read_environment"]

PREFIX: Final = "RRQ_"

# Variables of ours that are no settings.
OTHER_VARIABLES: Final = frozenset(
    {
        "RRQ_ALLOW_INSECURE_CONFIG",
        "RRQ_CONFIG",
        "RRQ_EXECUTOR_CONFIG",
        "RRQ_EXECUTOR_SETTINGS",
        "RRQ_EXECUTOR_SOCKET",
        "RRQ_EXECUTOR_TCP_SOCKET",
        "RRQ_METRICS",
        "RRQ_PRODUCER_LIB_PATH",
        "RRQ_RUNNER_CONFIG",
        "RRQ_RUNNER_CONTROL_FD",
        "RRQ_RUNNER_EXTENSIONS",
        "RRQ_RUNNER_NONCE_FD",
        "RRQ_RUNNER_PARENT_PID",
        "RRQ_RUNNER_SETTINGS",
        "RRQ_RUNNER_SOCKET",
        "RRQ_RUNNER_TCP_SOCKET",
        "RRQ_RUST_BIN",
    }
)
_CLOSE: Final = 0.85
_named_by_user = frozenset({"runners", "runner_routes"})
_folded = re.compile(r"[-_.]+")


def read_environment(
    environ: Mapping[str, str], kind: Literal["environment", "dotenv"] = "environment"
) -> tuple[Table, list[str]]:
    """Collect the settings of an environment.

    An empty value counts as not set, as compose files produce it. Variables that start with ``RRQ_`` and
    resemble no setting are left alone (an orchestration system may put its own there); a near miss is a
    problem.

    Returns:
        The values by key, still as text, and the problems found.
    """
    table = Table({}, Origin(kind))
    problems = []
    roots = {**fields_of(Settings), **KEY_ALIASES}
    for variable in sorted(environ):
        text = environ[variable]
        if not variable.startswith(PREFIX) or not text or variable in OTHER_VARIABLES:
            continue
        parts = _path(variable.removeprefix(PREFIX))
        if parts[0] in roots:
            _insert(table, parts, Leaf(text, Origin(kind, variable), text=True))
        elif (guess := _near_miss(parts[0], tuple(roots))) is not None:
            problems.append(
                f"{variable}: unknown variable, did you mean {environment_name((guess, *parts[1:]))}?"
            )
    return table, problems


def align_names(upper: Table, lower: Table) -> Table:
    """Give runners and queues named by a variable the spelling the file uses.

    A variable cannot hold ``My-Runner``; ``RRQ_RUNNERS__MY_RUNNER__POOL_SIZE`` means it where the file has
    it.
    """
    entries = dict(upper.entries)
    for key in _named_by_user:
        ours, theirs = upper.entries.get(key), lower.entries.get(key)
        if isinstance(ours, Table) and isinstance(theirs, Table):
            spelling = {_fold(name): name for name in theirs.entries}
            renamed = {
                name if name in theirs.entries else spelling.get(_fold(name), name): node
                for name, node in ours.entries.items()
            }
            entries[key] = Table(renamed, ours.origin)
    return Table(entries, upper.origin)


def _path(name: str) -> tuple[str, ...]:
    parts = name.split("__")
    keys = tuple(part.lower() for part in parts)
    if len(parts) > 3 and keys[0] in ("runners", "executors") and keys[2] == "env":
        return (*keys[:3], "__".join(parts[3:]))  # the name of a variable again, kept as it is
    return keys


def _insert(table: Table, path: tuple[str, ...], leaf: Leaf) -> None:
    for part in path[:-1]:
        below = table.entries.get(part)
        if not isinstance(below, Table):
            below = table.entries[part] = Table({}, leaf.origin)
        table = below
    table.entries[path[-1]] = leaf


def _near_miss(name: str, known: tuple[str, ...]) -> str | None:
    from difflib import SequenceMatcher

    guess = nearest(name, known)
    return guess if guess is not None and SequenceMatcher(None, name, guess).ratio() >= _CLOSE else None


def _fold(name: str) -> str:
    return _folded.sub("_", name).lower()
