"""When to restart: shortly after the last of several changes. Pure.

An editor that saves, a formatter that follows and a branch that is checked out change several files in quick
succession. One restart should see them all, and none should wait long for the rest.
"""

from typing import Final

__all__ = ["LONGEST_WAIT_S", "QUIET_S", "due_s"]

QUIET_S: Final = 0.1
LONGEST_WAIT_S: Final = 0.5


def due_s(first_s: float, latest_s: float) -> float:
    """Return when to restart, given the first change since the last restart and the latest one; seconds of
    one clock."""
    return min(latest_s + QUIET_S, first_s + LONGEST_WAIT_S)
