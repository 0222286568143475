"""End what handlers have started, when nobody is left who would (RELIABILITY.md F21, F22).

A process that ends leaves its children behind. They are found in the kernel's table, from ourselves
downwards, in whatever session they are, and beside us in our own session, if we lead it: there are also those
whose parents have ended. A process that was orphaned into a session of its own is not found: the guard that
an orchestrator puts above its runners knows of that one too.

All are stopped first and killed then, so that none makes another one meanwhile.
"""

import os
import signal
import sys
from contextlib import suppress
from time import monotonic, sleep
from typing import Final, NamedTuple

__all__ = ["end_offspring"]

_WITHIN_S: Final = 1.0
"""Only a process stuck in the kernel survives a SIGKILL for so long."""
_STEP_S: Final = 0.005


class _Entry(NamedTuple):
    pid: int
    state: str
    parent: int
    session: int


def end_offspring() -> bool:
    """Kill every process below this one, and those of its session if it leads that.

    Returns:
        True if none of them is left, as far as the system tells.
    """
    if sys.platform != "linux":
        return False  # there is no table to look into
    give_up = monotonic() + _WITHIN_S
    stopped: set[int] = set()
    while fresh := _living() - stopped:
        for pid in fresh:
            _signal(pid, signal.SIGSTOP)
        stopped |= fresh
        if monotonic() > give_up:
            break
    while living := _living():
        for pid in living:
            _signal(pid, signal.SIGKILL)
        if monotonic() > give_up:
            return False
        sleep(_STEP_S)
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _living() -> set[int]:
    """Return the processes that have to go and have not ended."""
    me, names = os.getpid(), os.listdir("/proc")  # noqa: PTH208 - a path for each would take longer
    entries = {entry.pid: entry for name in names if (entry := _read(name)) is not None}
    children: dict[int, list[int]] = {}
    for entry in entries.values():
        children.setdefault(entry.parent, []).append(entry.pid)
    found = [me]
    for pid in found:
        found += children.get(pid, ())
    chosen = set(found) | {entry.pid for entry in entries.values() if entry.session == me}
    return {pid for pid in chosen - {me} if entries[pid].state not in "ZXx"}


def _read(name: str) -> _Entry | None:
    if not name.isdigit():
        return None
    try:
        with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - as above
            # The name in parentheses may hold anything, parentheses too.
            state, parent, _, session = file.read().rpartition(b")")[2].split()[:4]
        return _Entry(int(name), state.decode(), int(parent), int(session))
    except (OSError, ValueError):
        return None
