"""A progress bar on stderr for whatever takes long; nothing where no person looks on."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress"]


@contextmanager
def progress(
    what: str, *, total: float | None = None, quiet: bool = False
) -> Iterator[Callable[[float], None]]:
    """Show progress while the block runs.

    Args:
        what: What the count counts.
        total: How many there will be, where that is known: then there is a bar and the time that is left.
        quiet: Show nothing.

    Yields:
        A function to call with the number of things done since the last call.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from rrq_cli.output import console

    counted = TextColumn("{task.description} {task.completed:,.0f}")
    columns = (
        (SpinnerColumn(), counted, TimeElapsedColumn())
        if total is None
        else (counted, BarColumn(), TextColumn("of {task.total:,.0f}"), TimeRemainingColumn())
    )
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)
