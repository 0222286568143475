"""``rrq worker run --supervise``: a parent that keeps an orchestrator up (RELIABILITY.md 6.3 *Fast path*).

A janitor learns of a death by a lease that does not change, which takes a lease. A parent knows at once: the
process it waits for has ended. It fences the dead orchestrator by the same compare-and-set, gives its jobs
back, and starts another one.

The parent does nothing else: no event loop, no connection as long as its child lives. It holds its child by a
signal (SIGTERM, sent by the kernel should the parent be killed) and passes on its own.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.commands.exits import ExitCode
from rrq_orchestrator.identity import PARENT_VARIABLE
from rrq_protocol import RetryPolicy, Settings, delay_s

__all__ = ["follow_parent", "supervise"]

_FORWARDED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_FINAL: Final = frozenset({ExitCode.OK, ExitCode.USAGE, ExitCode.FORCED, ExitCode.CONFIGURATION})
"""Ends that another start would only repeat, or that somebody asked for."""
_RESTART: Final = RetryPolicy(base_s=0.2, cap_s=30.0)
_STABLE_S: Final = 30.0


def supervise(
    command: Sequence[str],
    settings: Settings,
    log: FilteringBoundLogger,
    *,
    give_back: Callable[[Settings, str], dict[str, int]] | None = None,
    random: Random | None = None,
) -> int:
    """Keep ``command``, an orchestrator, up until it ends in order or we are told to end.

    Args:
        command: The child's command line.
        settings: Its settings: which Redis its jobs are in.
        log: Where to tell of deaths.
        give_back: Fences and recovers what a dead child held; see :mod:`.give_back`.
        random: Jitter of the pauses between starts.

    Returns:
        The child's exit code.
    """
    from rrq_orchestrator.commands.give_back import give_back as at_once

    with _Parent(command) as parent:
        return _keep_up(parent, settings, log, give_back or at_once, random or Random())


def _keep_up(
    parent: "_Parent",
    settings: Settings,
    log: FilteringBoundLogger,
    give_back: Callable[[Settings, str], dict[str, int]],
    random: Random,
) -> int:
    failures = 0
    while True:
        started_s = time.monotonic()
        pid = parent.start()
        code = parent.wait()
        if code in _FINAL or parent.asked_to_stop:
            return code if code >= 0 else ExitCode.UNEXPECTED
        failures = 1 if time.monotonic() - started_s > _STABLE_S else failures + 1
        pause_s = delay_s(failures, _RESTART, random)
        end = f"exited with {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
        log.error("orchestrator.died", pid=pid, end=end, restart_s=round(pause_s, 2))
        try:
            log.warning("orchestrator.given_back", pid=pid, **give_back(settings, parent.token))
        except OSError as error:
            # The janitors do it when the lease has run out; a parent must not die of it.
            log.warning("orchestrator.not_given_back", pid=pid, problem=str(error))
        if parent.sleep(pause_s):
            return ExitCode.OK


def follow_parent() -> None:
    """In the child: get SIGTERM when the parent is killed. Does nothing without one."""
    parent, _, _ = os.environ.get(PARENT_VARIABLE, "").partition(":")
    if not parent.isdigit() or not sys.platform.startswith("linux"):
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(parent):
        # It was killed before the line above.
        os.kill(os.getpid(), signal.SIGTERM)


class _Parent:
    """The child, and the signals on their way to it. ``token`` is in every id the child registers under."""

    def __init__(self, command: Sequence[str]) -> None:
        self.asked_to_stop = False
        self.token = ""
        self._command = list(command)
        self._child: subprocess.Popen[bytes] | None = None
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> "_Parent":
        for number in _FORWARDED:
            # One that is ignored stays so (nohup).
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, self._forward)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def start(self) -> int:
        """Start the child; return its process id."""
        self.token = secrets.token_hex(8)
        environment = {**os.environ, PARENT_VARIABLE: f"{os.getpid()}:{self.token}"}
        self._child = subprocess.Popen(self._command, env=environment)
        if self.asked_to_stop:
            self._child.send_signal(signal.SIGTERM)
        return self._child.pid

    def wait(self) -> int:
        """Wait for the child's end; return its exit code, negative for a signal."""
        assert self._child is not None
        return self._child.wait()

    def sleep(self, seconds: float) -> bool:
        """Wait; return early, and True, once a stop is asked for."""
        until_s = time.monotonic() + seconds
        while not self.asked_to_stop and (left := until_s - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
        return self.asked_to_stop

    def _forward(self, number: int, frame: Any) -> None:
        if number != signal.SIGHUP:
            self.asked_to_stop = True
        # Popen looks first whether the child is still ours, so no stranger with its old number is hit.
        if self._child is not None:
            self._child.send_signal(number)
