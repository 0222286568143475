"""What signals mean to an orchestrator process (RELIABILITY.md 6.8, F18 to F20).

SIGTERM and SIGINT ask for an orderly stop, a second one for a fast stop. A burst counts as one: a terminal's
Ctrl-C reaches the whole group, and a parent that passes it on doubles it. SIGHUP asks for new runner
processes in place of the old ones, under load and losing nothing (F81); a burst of them counts as one.
"""

import asyncio
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, Protocol

__all__ = ["Stoppable", "Stops", "exit_cleanly_on_signal", "ignore_signals", "quieten_signals"]

_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_ONE_REQUEST_S: Final = 0.25
_NOT_READ: Final = "not read again; restart the orchestrator for changed ones"


class Stoppable(Protocol):
    """What is stopped: the first call asks for an orderly stop, the second for a fast one."""

    def request_stop(self) -> None:
        """Ask to stop."""

    def request_restart(self) -> None:
        """Ask for new runner processes in place of the old ones."""


class _Log(Protocol):
    def info(self, event: str, **fields: Any) -> Any: ...


def exit_cleanly_on_signal(*, hangup_stops: bool = True) -> None:
    """End with code 0 on SIGTERM or SIGINT: for the time before there is anything to stop."""
    for number in _STOP_SIGNALS:
        signal.signal(number, _exit)
    if not hangup_stops and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        # There are no runner processes yet that it could be about.
        signal.signal(signal.SIGHUP, _nothing)


def _exit(number: int, frame: FrameType | None) -> None:
    ignore_signals()
    sys.exit(0)


class Stops:
    """Turns signals into calls, in the event loop. A stop asked for before :meth:`attach` is passed on then.

    Args:
        log: Where to note them.
        hangup_stops: Whether the end of the terminal, SIGHUP, is a request to stop as well.
        now: Monotonic seconds.
    """

    def __init__(self, log: _Log, *, hangup_stops: bool, now: Callable[[], float]) -> None:
        self._log, self._now = log, now
        self._hangup_stops = hangup_stops
        self._target: Stoppable | None = None
        self._requests = 0
        self._latest = float("-inf")
        self._restart_due = False
        self._later: Callable[[float, Callable[[], None]], object] | None = None

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen to the signals from now on. A SIGHUP that is ignored stays so (nohup)."""
        self._later = loop.call_later
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, self.stop, number)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGHUP, self.hangup)

    def attach(self, target: Stoppable) -> None:
        """Say what to stop."""
        self._target = target
        for _ in range(self._requests):
            target.request_stop()

    def stop(self, number: int) -> None:
        """Handle a request to stop."""
        now = self._now()
        if now - self._latest < _ONE_REQUEST_S or self._requests >= 2:
            return
        self._latest = now
        self._requests += 1
        action = "drain" if self._requests == 1 else "stop fast"
        self._log.info("signal.received", signal=signal.Signals(number).name, action=action)
        if self._target is not None:
            self._target.request_stop()

    def hangup(self) -> None:
        """Handle SIGHUP."""
        if self._hangup_stops:
            self.stop(signal.SIGHUP)
        elif not self._restart_due and self._later is not None:
            # At the end of the burst: whatever is replaced then was started before the last of them.
            self._restart_due = True
            self._log.info(
                "signal.received", signal="SIGHUP", action="replace the runner processes", settings=_NOT_READ
            )
            self._later(_ONE_REQUEST_S, self._restart)

    def _restart(self) -> None:
        self._restart_due = False
        if self._target is not None:
            self._target.request_restart()


def quieten_signals() -> None:
    """Let no signal interrupt what is left to do. Not ignored: Python complains of one that just came in."""
    _handle_all(_nothing)


def ignore_signals() -> None:
    """Let no signal spoil the exit code: the process is about to end, and Python restores the defaults."""
    _handle_all(signal.SIG_IGN)


def _handle_all(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (*_STOP_SIGNALS, signal.SIGHUP):
        signal.signal(number, handler)


def _nothing(number: int, frame: FrameType | None) -> None:
    """Do nothing."""
