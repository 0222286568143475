"""Deadlines of a connection: one timer each, armed only while something is due, and fair to a process that
was stopped."""

import asyncio
from collections.abc import Callable

__all__ = ["Watchdog"]

_LATE_S = 1.0


class Watchdog:
    """Call back when what was due is still due after ``seconds``.

    A timer that fires late says that this process itself did not run (SIGSTOP, a suspended machine); the
    peer is then given a moment, because its bytes may be waiting unread.

    Args:
        seconds: The deadline.
        overdue: Called when it passed. It may return True to be asked again after the same time.
    """

    __slots__ = ("_due", "_handle", "_overdue", "_seconds")

    def __init__(self, seconds: float, overdue: Callable[[], bool]) -> None:
        self._seconds = seconds
        self._overdue = overdue
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0

    @property
    def armed(self) -> bool:
        """Whether the deadline runs."""
        return self._handle is not None

    def arm(self, seconds: float | None = None) -> None:
        """Start the deadline, ``seconds`` from now; no effect while it runs."""
        if self._handle is None:
            loop = asyncio.get_running_loop()
            self._due = loop.time() + (self._seconds if seconds is None else seconds)
            self._handle = loop.call_at(self._due, self._fire)

    def disarm(self) -> None:
        """Stop the deadline."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        if asyncio.get_running_loop().time() - self._due > _LATE_S:
            self.arm(min(self._seconds, _LATE_S))
        elif self._overdue():
            self.arm()
