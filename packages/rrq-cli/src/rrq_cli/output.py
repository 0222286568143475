"""What commands print: one JSON document, or tables and lines for people.

Everything of a command's answer goes to stdout, everything about the answer (warnings, notes, progress) to
stderr. Data becomes :class:`rich.text.Text` through :func:`shown` before it is printed, so that markup in it
is never interpreted.
"""

import json
import math
import os
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from rrq_cli.exits import UsageProblem
from rrq_cli.text import escape

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = [
    "console",
    "emit",
    "json_text",
    "note",
    "note_if_none",
    "require_no_terminal",
    "shown",
    "titled",
]

_WIDTH_OF_A_PIPE = 120
_DEEP = 10_000
T = TypeVar("T")


def json_text(value: Any) -> str:
    """Return a result as JSON in plain ASCII: whatever the data holds, it drives no terminal.

    Numbers that JSON does not have (infinity) are null.
    """
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _DEEP))  # what could be read, however nested, can be written
    try:
        plain = _finite(msgspec.to_builtins(value, str_keys=True))
        # json, not msgspec: it escapes all that is not ASCII, C1 controls and bidi overrides included. DEL is
        # ASCII.
        text = json.dumps(plain, indent=2, ensure_ascii=True, allow_nan=False)
    finally:
        sys.setrecursionlimit(limit)
    return text.replace("\x7f", "\\u007f")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list) else value


def emit(as_json: bool, value: T, view: "Callable[[Console, T], None]") -> None:
    """Print a result: as JSON, or the way ``view`` shows it to people."""
    if as_json:
        click.echo(json_text(value))
    else:
        view(console(), value)


def console(*, stderr: bool = False) -> "Console":
    """Return where people read: stdout, or stderr. Neither markup nor emoji codes are interpreted."""
    from rich.console import Console

    class Quiet(Console):
        def on_broken_pipe(self) -> None:  # rich's own ends with 1
            raise BrokenPipeError

    stream = sys.stderr if stderr else sys.stdout
    columns = None
    if not stream.isatty():
        # The answer is read by a pager, a grep or a log; rows are not cut to 80 columns there unless COLUMNS
        # says so.
        columns = (
            shutil.get_terminal_size((_WIDTH_OF_A_PIPE, 24)).columns
            if "COLUMNS" in os.environ
            else _WIDTH_OF_A_PIPE
        )
    return Quiet(file=stream, markup=False, emoji=False, highlight=False, soft_wrap=False, width=columns)


def note(message: str) -> None:
    """Print a remark about the answer on stderr."""
    click.echo(f"rrq: {escape(message)}", err=True)


def note_if_none(found: object, remark: str | None) -> None:
    """Print a remark, if there is one, where nothing was found."""
    if not found and remark is not None:
        note(remark)


def shown(value: object, style: str = "") -> "Text":
    """Return a value as text that is safe to print; None is a dash."""
    from rich.text import Text

    if value is None:
        return Text("–", style="dim")
    return Text(escape(str(value)), style=style)


def titled(out: "Console", title: str, detail: str = "") -> None:
    """Print a heading with an optional remark beside it."""
    from rich.text import Text

    line = Text(escape(title), style="bold")
    if detail:
        line.append("  " + escape(detail), style="dim")
    out.print(line)


def require_no_terminal() -> None:
    """Refuse ``--raw`` where the bytes would reach a terminal (RELIABILITY.md S6).

    Raises:
        UsageProblem: stdout is a terminal.
    """
    if sys.stdout.isatty():
        raise UsageProblem(
            "--raw prints bytes as they are stored, which could drive your terminal: pipe it (--raw | less)"
        )
