"""What a person sees: progress on standard error, tables on standard output."""

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

__all__ = ["Progress", "print_table"]

_EVERY_S = 0.2


class Progress:
    """One line that says what is being measured; rewritten on a terminal, elsewhere one per step."""

    def __init__(self) -> None:
        self._stream = sys.stderr
        self._live = self._stream.isatty()
        self._step = ""
        self._shown_at = 0.0
        self._started_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._clear()

    def step(self, text: str) -> None:
        """Say what begins."""
        self._step = f"[{time.monotonic() - self._started_at:4.0f} s] {text}"
        self._shown_at = 0.0
        if self._live:
            self.detail("")
        else:
            print(self._step, file=self._stream, flush=True)

    def detail(self, text: str) -> None:
        """Say how far it is; may be called often."""
        now = time.monotonic()
        if self._live and now - self._shown_at >= _EVERY_S:
            self._shown_at = now
            print(f"\r\x1b[2K{self._step}  {text}", end="", file=self._stream, flush=True)

    def _clear(self) -> None:
        if self._live:
            print("\r\x1b[2K", end="", file=self._stream, flush=True)


def print_table(title: str, heading: Sequence[str], rows: Sequence[Sequence[str]], *, plain: bool) -> None:
    """Print a table, with rich where it is installed and wanted."""
    if not plain and sys.stdout.isatty() and _print_rich(title, heading, rows):
        return
    widths = [max(len(line[at]) for line in (heading, *rows)) for at in range(len(heading))]
    print(f"\n{title}")
    for line in (heading, ["─" * width for width in widths], *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print_rich(title: str, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        return False
    table = Table(title=title, title_justify="left")
    for at, name in enumerate(heading):
        table.add_column(name, justify="left" if at < 3 else "right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    return True
