"""What commands print: one JSON document, or tables and lines for people.

Everything of a command's answer goes to stdout, everything about the answer (warnings, notes, progress) to
stderr. Data becomes :class:`rich.text.Text` through :func:`shown` before it is printed, so that markup in it
is never interpreted.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from rrq_cli.exits import UsageProblem
from rrq_cli.text import escape

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

__all__ = [
    "Column",
    "console",
    "emit",
    "json_text",
    "note",
    "require_no_terminal",
    "shown",
    "table",
    "titled",
]

_WIDTH_OF_A_PIPE = 120
T = TypeVar("T")


def json_text(value: Any) -> str:
    """Return a result as JSON in plain ASCII: whatever the data holds, it drives no terminal."""
    plain = msgspec.to_builtins(value, str_keys=True)
    # json, not msgspec: it escapes all that is not ASCII, C1 controls and bidi overrides included. DEL is
    # ASCII.
    return json.dumps(plain, indent=2, ensure_ascii=True).replace("\x7f", "\\u007f")


def emit(as_json: bool, value: T, view: "Callable[[Console, T], None]") -> None:
    """Print a result: as JSON, or the way ``view`` shows it to people."""
    if as_json:
        click.echo(json_text(value))
    else:
        view(console(), value)


def console(*, stderr: bool = False) -> "Console":
    """Return where people read: stdout, or stderr. Neither markup nor emoji codes are interpreted."""
    from rich.console import Console

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
    return Console(file=stream, markup=False, emoji=False, highlight=False, soft_wrap=False, width=columns)


def note(message: str) -> None:
    """Print a remark about the answer on stderr."""
    click.echo(f"rrq: {escape(message)}", err=True)


def shown(value: object, style: str = "") -> "Text":
    """Return a value as text that is safe to print; None is a dash."""
    from rich.text import Text

    if value is None:
        return Text("–", style="dim")
    return Text(escape(str(value)), style=style)


class Column(msgspec.Struct, frozen=True):
    """How a column looks.

    Attributes:
        title: Its heading.
        right: Whether it holds numbers.
        whole: Whether its cells must never be cut; they are folded where there is no room.
        ratio: Its share of the free room, 0 for what it needs.
        most: The most room it takes, 0 for any.
        style: A style of rich.
    """

    title: str
    right: bool = False
    whole: bool = False
    ratio: int = 0
    most: int = 0
    style: str = ""


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> "Table":
    """Return a plain table: heading, rule, one row per entry; cells are escaped unless they are ``Text``."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    # Only an expanded table gives columns with a ratio what the others leave; else ids are squeezed first.
    expand = any(column.ratio for column in columns)
    result = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        header_style="bold",
        expand=expand,
    )
    for column in columns:
        result.add_column(
            Text(column.title),
            justify="right" if column.right else "left",
            no_wrap=not column.whole,
            overflow="fold" if column.whole else "ellipsis",
            ratio=column.ratio or None,
            max_width=column.most or None,
            style=column.style,
        )
    for row in rows:
        result.add_row(*(cell if isinstance(cell, Text) else shown(cell) for cell in row))
    return result


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
