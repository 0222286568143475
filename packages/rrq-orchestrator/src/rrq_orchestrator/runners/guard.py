"""Stand between the orchestrator and one runner process, and leave nothing behind. Runs as a script.

Theory of operation (ADR 0016). A handler may start processes of its own, in sessions of their own, and orphan
them on purpose. The kernel gives orphans to their nearest ancestor that asked for them (a *subreaper*,
Linux), and that has to be a process that outlives both the runner and the orchestrator. This is it::

    orchestrator ── guard ── runner ── handlers' processes
                      └──── their orphans

So whatever the runner's handlers ever started is below the guard. When the runner ends, by whatever means,
or the control pipe does (the orchestrator let go of it, or died), everything below is killed; the guard is
the last to go. It forwards SIGTERM to the runner's process group and ignores the other signals people send.

It tells the orchestrator through a pipe, one line each: ``started PID`` once, and at the end ``ended STATUS
LEFT``: STATUS as of :class:`subprocess.Popen`, and how many processes could not be killed.

Should the guard itself be killed, the kernel kills the runner (parent-death signal). It uses the standard
library alone and is started by path, isolated, without ``site``: about 15 ms, and 4 MiB of its own.
"""

import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NoReturn

__all__ = ["COMMAND_NOT_FOUND", "COMMAND_NOT_RUNNABLE", "COMMAND_VARIABLE", "Guard", "guarded", "main"]

COMMAND_NOT_FOUND: Final = 127
COMMAND_NOT_RUNNABLE: Final = 126
COMMAND_VARIABLE: Final = "RRQ_GUARD_COMMAND"
"""Where the guard finds its runner's command: not in its arguments, so that who looks for the runner in the
list of processes finds one process, and not two."""

_LINUX: Final = sys.platform.startswith("linux")
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36
_NAME: Final = b"rrq-guard"
_SWEEP_WITHIN_S: Final = 5.0
"""Only a process stuck in the kernel survives a SIGKILL for so long."""
_SWEEP_STEP_MS: Final = 10
_IGNORED: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def guarded(
    command: list[str], environment: dict[str, str], control_fd: int, status_fd: int
) -> tuple[list[str], dict[str, str]]:
    """Return the command line and environment that start a guard for ``command``."""
    arguments = [sys.executable, "-I", "-S", __file__, str(control_fd), str(status_fd)]
    return arguments, {**environment, COMMAND_VARIABLE: json.dumps(command)}


class Guard:
    """One guard.

    Args:
        control_fd: Reading end of a pipe whose end of file means that the runner has to go.
        status_fd: Where to tell what happens.
    """

    def __init__(self, control_fd: int, status_fd: int) -> None:
        self._control_fd, self._status_fd = control_fd, status_fd
        self._runner = 0
        self._status = 0
        self._over = False
        self._wakeup, writing = os.pipe()
        for fd in (self._wakeup, writing):
            os.set_blocking(fd, False)
        # Signals are read from a pipe: none arrives between reaping the runner and noting it.
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)

    def run(self, command: list[str]) -> int:
        """Run ``command`` to its end, and end what it leaves. Return the exit code for this process."""
        prctl(_PR_SET_CHILD_SUBREAPER, 1)
        prctl(_PR_SET_NAME, _NAME)
        os.set_inheritable(self._status_fd, False)
        guard = os.getpid()
        # The child must not lose a SIGTERM that comes before it is ready for one.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        self._runner = os.fork()
        if self._runner == 0:
            become(command, guard)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        self._let_go()
        self._tell(f"started {self._runner}")
        self._watch()
        left = self._sweep()
        self._tell(f"ended {self._status} {left}")
        return 0

    def _watch(self) -> None:
        """Wait for the end of the runner, or see to it when the control pipe ends."""
        poll = select.poll()
        poll.register(self._control_fd, select.POLLIN)
        poll.register(self._wakeup, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if self._wakeup in ready:
                if signal.SIGTERM in self._signals():
                    self._signal_runner(signal.SIGTERM)
                self._reap()
            if self._over:
                return
            if self._control_fd in ready and not os.read(self._control_fd, 4096):
                poll.unregister(self._control_fd)
                self._signal_runner(signal.SIGKILL)

    def _sweep(self) -> int:
        """Kill what is below us until there is nothing. Return how many withstood."""
        if not _LINUX:  # no orphans come to us there, but the rest of the group can be found
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._runner, signal.SIGKILL)
        give_up = time.monotonic() + _SWEEP_WITHIN_S
        poll = select.poll()
        poll.register(self._wakeup, select.POLLIN)
        while self._reap():
            below = list(descendants(os.getpid()))
            if time.monotonic() > give_up:
                return max(1, len(below))
            for pid in below:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            if poll.poll(_SWEEP_STEP_MS):
                self._signals()
        return 0

    def _reap(self) -> bool:
        """Collect who has ended. Return whether anybody is left."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return True
                if pid == self._runner:
                    self._over, self._status = True, os.waitstatus_to_exitcode(status)
        return False

    def _signals(self) -> bytes:
        """Return the numbers of the signals that came."""
        try:
            return os.read(self._wakeup, 4096)
        except BlockingIOError:
            return b""

    def _signal_runner(self, number: int) -> None:
        try:
            os.killpg(self._runner, number)
        except ProcessLookupError:
            os.kill(self._runner, number)  # it does not lead its group yet
        except PermissionError:  # macOS, for a group of which only zombies are left
            pass

    def _tell(self, line: str) -> None:
        with suppress(OSError):  # nobody listens any more
            os.write(self._status_fd, f"{line}\n".encode())

    @staticmethod
    def _let_go() -> None:
        """Leave streams and folder to the runner, so that the end of a stream is the runner's end."""
        null = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):
            os.dup2(null, fd)
        os.close(null)
        os.chdir("/")


def become(command: list[str], guard: int) -> NoReturn:
    """Turn this fresh child of ``guard`` into the runner."""
    try:
        os.setsid()
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != guard:
            os._exit(1)  # it ended before it was asked
        signal.set_wakeup_fd(-1)
        # What is ignored would stay ignored; Python ignores the last two.
        for number in (*_IGNORED, signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        os.write(2, f"cannot run {command[0]!r}: {error.strerror}\n".encode(errors="backslashreplace"))
        os._exit(COMMAND_NOT_FOUND if isinstance(error, FileNotFoundError) else COMMAND_NOT_RUNNABLE)
    finally:
        os._exit(1)  # never back into the guard's code


def prctl(option: int, value: int | bytes) -> None:
    """Set an attribute of this process, where the kernel knows it."""
    if not _LINUX:
        return
    import ctypes  # the only expensive import, and of no use to those who only build the command

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        os.write(2, f"prctl({option}): {os.strerror(ctypes.get_errno())}\n".encode())


def descendants(pid: int) -> Iterator[int]:
    """Yield the processes below ``pid``, as far as the system tells."""
    children: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")  # noqa: PTH208
    except OSError:
        return
    for name in names:
        if name.isdigit():
            with suppress(OSError, ValueError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                # The name in parentheses may hold anything, parentheses too.
                parent = int(file.read().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    found = [pid]
    for each in found:
        found += children.get(each, ())
    yield from found[1:]


def main(control_fd: int, status_fd: int) -> int:
    """Guard the runner whose command the environment holds."""
    command: list[str] = json.loads(os.environ.pop(COMMAND_VARIABLE))
    return Guard(control_fd, status_fd).run(command)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
