"""Read the kernel's table of processes, where there is one in ``/proc``."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["PROC", "Entry", "marked", "process_ids", "read_entry"]

PROC: Final = Path("/proc")


class Entry(NamedTuple):
    """What the table says about a process.

    Attributes:
        state: One letter; ``Z`` is a process that ended and was not reaped yet.
    """

    state: str
    parent: int
    group: int
    session: int


def process_ids() -> Iterator[int]:
    """Return the ids of all processes there are; none without a table."""
    if PROC.is_dir():
        for entry in PROC.iterdir():
            if entry.name.isdigit():
                yield int(entry.name)


def read_entry(pid: int) -> Entry | None:
    """Return what the table says about a process; None if it is gone, or there is no table."""
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        # The name in parentheses may hold anything, parentheses too.
        state, parent, group, session = text.rpartition(")")[2].split()[:4]
        return Entry(state, int(parent), int(group), int(session))
    except (OSError, ValueError):
        return None


def marked(mark: bytes) -> Iterator[int]:
    """Return the ids of the processes, of this user, that were started with ``mark`` in their environment."""
    for pid in process_ids():
        with suppress(OSError):
            if mark in (PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                yield pid
