"""A managed runner never outlives its orchestrator, nor does what its handlers have started (RELIABILITY.md
6.8, F21, F22).

An orchestrator puts a guard above its runners, which sees to both whatever happens in here. What follows is
for any other parent that says so, and for the moment before the guard is there. The end of an inherited pipe
whose other end only the parent holds tells that it is gone: handlers are cancelled, what they have started is
ended, and this process ends. Without the pipe there is the kernel's parent-death signal (Linux), which leaves
no time for that, and a look at the parent's id for the moment before it was asked for. None of it is done
unless a parent asks for it.
"""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, MutableMapping
from typing import Final

from rrq_protocol import EndpointError
from rrq_runner.offspring import end_offspring

CONTROL_FD_VARIABLE: Final = "RRQ_RUNNER_CONTROL_FD"
PARENT_PID_VARIABLE: Final = "RRQ_RUNNER_PARENT_PID"

DEATH_GRACE_S: Final = 0.5
"""Between the parent's end and this process's: enough to close files, too short to go on working."""

_PR_SET_PDEATHSIG = 1
EXIT_ABANDONED = 3


class ParentWatch:
    """Ends this process when the orchestrator that started it is gone.

    Attributes:
        on_death: Called in the watching thread when the pipe ends; the process ends :data:`DEATH_GRACE_S`
            later.
        over: Set when the pipe has ended.
    """

    def __init__(self, control_fd: int, parent_pid: int) -> None:
        self.on_death: Callable[[], None] | None = None
        self.over = threading.Event()
        self._parent_pid = parent_pid
        self._control_fd = control_fd

    def alive(self) -> bool:
        """Return True while the parent is the one we started with."""
        return os.getppid() == self._parent_pid

    def start(self) -> None:
        """Watch the pipe, or set the signal, and check that the parent is still there."""
        if sys.platform == "linux" and self._control_fd < 0:
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if not self.alive():
            os._exit(EXIT_ABANDONED)
        if self._control_fd >= 0:
            threading.Thread(target=self._watch, name="rrq-parent-watch", daemon=True).start()

    def _watch(self) -> None:
        try:
            while os.read(self._control_fd, 4096):
                pass
        except OSError:
            pass  # not readable any more means the same
        self.over.set()
        if self.on_death is not None:
            self.on_death()
        threading.Event().wait(DEATH_GRACE_S)
        end_offspring()
        os._exit(EXIT_ABANDONED)

    def finish(self) -> None:
        """End what handlers have started, if nobody else is left to do that. To be called at the very end."""
        if self.over.is_set():
            end_offspring()


def watch_parent(environ: MutableMapping[str, str]) -> ParentWatch | None:
    """Begin to watch the orchestrator named by the environment; None if this runner was started by hand.

    ``RRQ_RUNNER_CONTROL_FD`` is the number of an inherited pipe's reading end, ``RRQ_RUNNER_PARENT_PID`` the
    id this process's parent should have. Both are taken out of the environment, so that child processes do
    not misread them.

    Raises:
        EndpointError: A variable holds something else.
    """
    control_fd = _number(CONTROL_FD_VARIABLE, environ)
    parent_pid = _number(PARENT_PID_VARIABLE, environ)
    if control_fd is None and parent_pid is None:
        return None
    if control_fd is not None:
        try:
            os.set_inheritable(control_fd, False)
        except OSError as error:
            raise EndpointError(
                f"{CONTROL_FD_VARIABLE}: {control_fd} is no open descriptor; pass the pipe on (pass_fds)"
            ) from error
    watch = ParentWatch(
        -1 if control_fd is None else control_fd, os.getppid() if parent_pid is None else parent_pid
    )
    watch.start()
    return watch


def _number(name: str, environ: MutableMapping[str, str]) -> int | None:
    text = environ.pop(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise EndpointError(f"{name}: expected a number, got {text!r}")
    return int(text)
