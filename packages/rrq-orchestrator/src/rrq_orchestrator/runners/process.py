"""One runner process: started under a guard, as the leader of its own session and group; watched to its end.

Its guard (:mod:`.guard`) is our child, the runner is the guard's. Three things tie the runner to us
(RELIABILITY.md 6.8): the pipe whose end of file says that we are gone, which the guard and the runner both
watch; the guard, which ends whatever is left below it, before it ends itself; and the kernel's parent-death
signal, should the guard be killed. What the runner's handlers started is then found by its environment.
"""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import IO

import anyio
from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.runners.guard import guarded
from rrq_orchestrator.runners.output import OutputRelay, Stream
from rrq_orchestrator.runners.process_table import marked, read_entry
from rrq_protocol import RRQError

__all__ = ["RunnerProcess", "StartFailed", "exit_text", "start_process"]

_STDERR = 2
_MARK = "RRQ_RUNNER_MARK"
_SWEEPS = 20
"""A process may start another one while it is looked for; at most so many looks."""


class StartFailed(RRQError):
    """A runner process did not come up; the text says why."""


def exit_text(returncode: int) -> str:
    """Return how a process ended, in words."""
    if returncode >= 0:
        return f"exited with code {returncode}"
    try:
        return f"was killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was killed by signal {-returncode}"


class RunnerProcess:
    """A started process. It watches its own end from the moment it exists.

    Attributes:
        pid: Also the number of its session and process group; 0 until :meth:`identified`.
        exited: Set when it has ended, and nothing it ever started is left (see ``left``).
        returncode: As of :class:`subprocess.Popen`; None while it runs.
        left: Processes below it that could not be killed.
        outputs: Its captured streams.
        on_exit: Called just after ``exited`` was set.
    """

    def __init__(
        self, guard: "subprocess.Popen[bytes]", control_fd: int, status_fd: int, mark: bytes
    ) -> None:
        self.pid = 0
        self.exited = asyncio.Event()
        self.returncode: int | None = None
        self.left = 0
        self.outputs: list[OutputRelay] = []
        self.on_exit: Callable[[], None] | None = None
        self._guard, self._mark = guard, mark
        self._control_fd, self._status_fd = control_fd, status_fd
        self._told = b""
        self._identified = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        os.set_blocking(status_fd, False)
        self._loop.add_reader(status_fd, self._on_status)
        self._watch()

    @property
    def stdin(self) -> IO[bytes] | None:
        """The writing end of its stdin, for stdio runners."""
        return self._guard.stdin

    @property
    def stdout(self) -> IO[bytes] | None:
        """The reading end of its stdout, where that is a pipe."""
        return self._guard.stdout

    async def identified(self) -> int:
        """Wait until the process has an id, and return it; 0 if its guard ended before that."""
        await self._identified.wait()
        return self.pid

    def ask_to_end(self) -> None:
        """Send SIGTERM to its group."""
        if self.returncode is None:
            self._guard.terminate()

    def end(self) -> None:
        """Have its guard kill it and all it started, now."""
        self._close_control()

    def abandon(self) -> None:
        """Kill the guard, which does not do its work; the kernel kills the process then."""
        if self.returncode is None:
            self._guard.kill()

    async def capture(self, log: FilteringBoundLogger, *, stdout: bool, quiet: bool = False) -> None:
        """Begin to relay the piped streams as log events."""
        log = log.bind(pid=self.pid)
        pipes: list[tuple[Stream, IO[bytes] | None]] = [("stderr", self._guard.stderr)]
        if stdout:
            pipes.append(("stdout", self._guard.stdout))
        for stream, pipe in pipes:
            if pipe is not None:
                relay = OutputRelay(log, stream, quiet=quiet)
                self.outputs.append(relay)
                await self._loop.connect_read_pipe(partial(_same, relay), pipe)

    def tail(self) -> list[str]:
        """Return the last lines of the captured output, stderr first."""
        return [line for relay in self.outputs for line in relay.tail]

    async def outputs_closed(self, timeout_s: float) -> None:
        """Wait until the captured streams were read to their end; grandchildren may keep them open for
        longer."""
        with anyio.move_on_after(timeout_s):
            for relay in self.outputs:
                await relay.closed.wait()

    def close(self) -> None:
        """Let go of the pipes. Safe to repeat."""
        for relay in self.outputs:
            relay.close()
        for pipe in (self._guard.stdin, self._guard.stdout, self._guard.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._close_control()

    def _watch(self) -> None:
        try:
            descriptor = os.pidfd_open(self._guard.pid)
        except (AttributeError, OSError):  # not Linux, or an old kernel
            threading.Thread(target=self._wait, name=f"runner-{self._guard.pid}", daemon=True).start()
            return
        self._loop.add_reader(descriptor, self._on_exit, descriptor)

    def _wait(self) -> None:
        self._guard.wait()
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._on_exit, None)

    def _on_status(self) -> None:
        """Take in what the guard tells (:mod:`.guard`)."""
        with suppress(BlockingIOError):
            while told := os.read(self._status_fd, 4096):
                self._told += told
            self._close_status()
        lines = self._told.split(b"\n")
        if len(lines) > 1 and not self.pid:
            self.pid = int(lines[0].split()[1])
            self._identified.set()

    def _on_exit(self, descriptor: int | None) -> None:
        code = self._guard.wait()
        if descriptor is not None:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
        if self._status_fd >= 0:
            self._on_status()
            self._close_status()
        match self._told.split():
            case [_, _, b"ended", status, left]:
                self.returncode, self.left = int(status), int(left)
            case _:
                self.returncode = code
                self._clean_up_unguarded()
        self._close_control()
        self._identified.set()
        self.exited.set()
        if self.on_exit is not None:
            self.on_exit()

    def _clean_up_unguarded(self) -> None:
        """The guard was killed, so the kernel killed the runner; what is left of what it started goes too."""
        if not self.pid:
            return
        entry = read_entry(self.pid)
        if entry is None or entry.session == self.pid:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        # Nobody is left to whom the kernel gave the orphans that its handlers made.
        for _ in range(_SWEEPS):
            if not (pids := list(marked(self._mark))):
                break
            for pid in pids:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        # Where we are process 1 of a container, it has become our child.
        with suppress(ChildProcessError):
            while os.waitpid(-self.pid, os.WNOHANG)[0]:
                pass

    def _close_status(self) -> None:
        if self._status_fd >= 0:
            self._loop.remove_reader(self._status_fd)
            os.close(self._status_fd)
            self._status_fd = -1

    def _close_control(self) -> None:
        if self._control_fd >= 0:
            os.close(self._control_fd)
            self._control_fd = -1


def start_process(
    command: Sequence[str],
    environment: Callable[[int], Mapping[str, str]],
    *,
    cwd: str | None = None,
    stdio: bool = False,
    capture: bool = True,
    pass_fds: Sequence[int] = (),
) -> RunnerProcess:
    """Start a process, under a guard. Whoever calls this has to see to its end (:mod:`.termination`).

    Args:
        command: Program and arguments.
        environment: Given the number of the control pipe, returns the whole environment.
        cwd: Working directory.
        stdio: Connect stdin and stdout with pipes, for the protocol.
        capture: Pipe the output; else it goes to our stderr.
        pass_fds: Descriptors it inherits, under the same numbers.

    Raises:
        StartFailed: The program or the directory does not exist, or the system has no room for a process.
    """
    control, status = _two_pipes()
    try:
        mark = secrets.token_hex(16)
        env = {**environment(control[0]), _MARK: mark}
        _check(command[0], env, cwd)
        arguments, env = guarded(list(command), env, control[0], status[1])
        guard = subprocess.Popen(
            arguments,
            env=env,
            cwd=cwd,
            stdin=subprocess.PIPE if stdio else subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdio or capture else _our_stderr(),
            stderr=subprocess.PIPE if capture else _our_stderr(),
            pass_fds=(control[0], status[1], *pass_fds),
            start_new_session=True,
            bufsize=0,
        )
    except BaseException as error:
        os.close(control[1])
        os.close(status[0])
        if isinstance(error, OSError | subprocess.SubprocessError):
            raise StartFailed(f"cannot start {command[0]!r}: {error}") from error
        raise
    finally:
        os.close(control[0])
        os.close(status[1])
    return RunnerProcess(guard, control[1], status[0], f"{_MARK}={mark}".encode())


def _two_pipes() -> tuple[tuple[int, int], tuple[int, int]]:
    first = os.pipe()
    try:
        return first, os.pipe()
    except OSError:
        os.close(first[0])
        os.close(first[1])
        raise


def _same(relay: OutputRelay) -> OutputRelay:
    return relay


def _check(program: str, env: Mapping[str, str], cwd: str | None) -> None:
    if cwd is not None and not os.path.isdir(cwd):  # noqa: PTH112
        raise StartFailed(f"the working directory {cwd!r} does not exist; correct `cwd`")
    if os.sep in program:
        found = os.access(os.path.join(cwd or os.curdir, program), os.X_OK)  # noqa: PTH118
    else:
        found = shutil.which(program, path=env.get("PATH", os.defpath)) is not None
    if not found:
        raise StartFailed(f"command not found: {program!r}; correct `cmd`, or install the program")


def _our_stderr() -> int:
    try:
        os.fstat(_STDERR)
    except OSError:
        return subprocess.DEVNULL
    return _STDERR
