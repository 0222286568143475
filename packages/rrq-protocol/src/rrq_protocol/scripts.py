"""Lua scripts as values: load a script with its includes, and describe one call of it without performing it.

A transition is a :class:`ScriptCall`. Whoever holds a Redis connection sends :meth:`ScriptCall.evalsha_args`,
falls back to :meth:`ScriptCall.eval_args` on ``NOSCRIPT``, and hands the reply to :meth:`ScriptCall.result`.
The blocking and the async client differ by one ``await`` (STYLE.md *Decide in plain functions*).

The scripts carry no shebang line: its flags exist since Redis 7 only, and older servers take it for a syntax
error. The order of writes inside the scripts is what lets them work when memory is full (RELIABILITY.md 6.5).
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

from rrq_protocol.testing import reach

__all__ = ["ScriptCall", "Text", "script_names", "script_sha", "script_source"]

T_co = TypeVar("T_co", covariant=True)
Text = str | bytes | int | float

_FOLDER = Path(__file__).parent / "lua"

_INCLUDE = re.compile(r"^--@include (?P<name>[a-z_]+)$", re.MULTILINE)
_HEADER = re.compile(r"\A--\[\[.*?\]\]\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ScriptCall(Generic[T_co]):
    """One atomic transition, ready to send. Building it performs no I/O.

    Attributes:
        script: Name of the file in ``lua/``, without its ending.
        keys: Full key names, in the order the script's header gives.
        args: The script's arguments, in the order its header gives.
        decode: Turns Redis's reply into the typed result.
    """

    script: str
    keys: tuple[str, ...]
    args: tuple[Text, ...]
    decode: Callable[[object], T_co]

    def evalsha_args(self) -> tuple[Text, ...]:
        """Return the command ``EVALSHA …`` as flat arguments."""
        if reach is not None:
            reach(f"{self.script}.before")
        return ("EVALSHA", script_sha(self.script), len(self.keys), *self.keys, *self.args)

    def eval_args(self) -> tuple[Text, ...]:
        """Return the command ``EVAL …`` as flat arguments, for a server that has forgotten the script."""
        return ("EVAL", script_source(self.script), len(self.keys), *self.keys, *self.args)

    def result(self, reply: object) -> T_co:
        """Return the typed result of Redis's ``reply``."""
        if reach is not None:
            reach(f"{self.script}.after")
        return self.decode(reply)


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


@cache
def script_source(name: str) -> str:
    """Return the Lua text of a script with its includes in place.

    Raises:
        FileNotFoundError: There is no such script.
    """

    def included(match: re.Match[str]) -> str:
        return _HEADER.sub("", _read(f"include/{match['name']}.lua"))

    return _INCLUDE.sub(included, _read(f"{name}.lua"))


@cache
def script_sha(name: str) -> str:
    """Return the SHA-1 under which Redis knows the script."""
    # Redis names scripts by SHA-1; nothing here depends on it being hard to forge.
    return hashlib.sha1(script_source(name).encode(), usedforsecurity=False).hexdigest()


def script_names() -> tuple[str, ...]:
    """Return the names of all scripts, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.lua")))
