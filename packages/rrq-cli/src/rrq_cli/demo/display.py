"""What the demo shows while it runs: a live bar on a terminal, lines elsewhere, nothing with ``--json``."""

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rrq_cli.output import console, shown
from rrq_cli.words import duration

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Display", "LiveDisplay", "PlainDisplay", "Progress", "make_display"]

_LINE_EVERY_S = 2.0
_RATE_OVER_S = 2.0


@dataclass(frozen=True)
class Progress:
    """How far it is.

    Attributes:
        total: Jobs in all; 0 while nobody knows.
        enqueued: Jobs the producer has handed over.
        done: Completed jobs.
        failed: Dead letters.
        retried: Attempts that are tried again.
        seconds: Time since the first job was enqueued.
    """

    total: int = 0
    enqueued: int = 0
    done: int = 0
    failed: int = 0
    retried: int = 0
    seconds: float = 0.0

    @property
    def ended(self) -> int:
        """Jobs that are through."""
        return self.done + self.failed


class Display:
    """Shows nothing; the base of those that do."""

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def step(self, text: str) -> None:
        """Tell that something was done."""

    def update(self, progress: Progress) -> None:
        """Tell how far it is."""


class _Rate:
    """Jobs per second over the last two seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def after(self, progress: Progress) -> float:
        self._points.append((progress.seconds, progress.ended))
        while len(self._points) > 2 and progress.seconds - self._points[1][0] >= _RATE_OVER_S:
            self._points.popleft()
        (start, before), (end, now) = self._points[0], self._points[-1]
        return (now - before) / (end - start) if end > start else 0.0


class PlainDisplay(Display):
    """A line every two seconds, for logs and pipes."""

    def __init__(self) -> None:
        self._out = console()
        self._next = 0.0
        self._rate = _Rate()

    def step(self, text: str) -> None:
        """Print a line."""
        self._out.print(shown(text), overflow="fold")
        self._out.file.flush()

    def update(self, progress: Progress) -> None:
        """Print a line if the last one is two seconds old."""
        rate = self._rate.after(progress)
        now = time.monotonic()
        if now >= self._next and progress.total:
            self._next = now + _LINE_EVERY_S
            self.step(_figures(progress, rate))


def _figures(progress: Progress, rate: float) -> str:
    return (
        f"{progress.ended:,}/{progress.total:,}  done {progress.done:,}  failed {progress.failed:,}  "
        f"retries {progress.retried:,}  {rate:,.0f} jobs/s  {duration(progress.seconds)}"
    )


class LiveDisplay(Display):
    """A bar and figures that are redrawn in place."""

    def __init__(self) -> None:
        from rich.live import Live

        self._out = console()
        self._rate = _Rate()
        self._live = Live(console=self._out, auto_refresh=False, transient=True)
        self._speed = 0.0

    def __enter__(self) -> "LiveDisplay":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def step(self, text: str) -> None:
        """Print a line above the bar."""
        from rich.text import Text

        line = Text().append("✓ ", style="green").append_text(shown(text))
        self._live.console.print(line, overflow="fold")

    def update(self, progress: Progress) -> None:
        """Redraw the bar."""
        self._speed = self._rate.after(progress)
        self._live.update(self._drawn(progress), refresh=True)

    def _drawn(self, progress: Progress) -> "RenderableType":
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        total = max(progress.total, 1)
        head = Table.grid(expand=True, padding=(0, 1, 0, 0))
        head.add_column(ratio=1)
        head.add_column(no_wrap=True)
        counted = f"{progress.ended:,}/{progress.total:,} {progress.ended * 100 // total:3d} %"
        bar: Any = ProgressBar(
            total=total, completed=progress.ended, complete_style="green", finished_style="green"
        )
        head.add_row(bar, Text(counted))
        figures = Text()
        for word, value, style in (
            ("done", f"{progress.done:,}", "green"),
            ("failed", f"{progress.failed:,}", "red" if progress.failed else "dim"),
            ("retries", f"{progress.retried:,}", "yellow" if progress.retried else "dim"),
        ):
            figures.append(f"{word} ", style="dim").append(value, style=style).append("   ")
        figures.append(f"{self._speed:,.0f} jobs/s   {duration(progress.seconds)}")
        return Group(Text(), head, figures)


def make_display(*, quiet: bool) -> Display:
    """Return the display that fits where the output goes."""
    if quiet:
        return Display()
    return LiveDisplay() if console().is_terminal else PlainDisplay()
