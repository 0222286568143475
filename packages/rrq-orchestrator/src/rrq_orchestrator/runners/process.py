"""One runner process: started as the leader of its own session and group, reaped the moment it ends.

Three things tie it to us (RELIABILITY.md 6.8): the kernel's parent-death signal (:mod:`.launcher`), an
inherited pipe whose end of file says that we are gone, and the group, which is ended as a whole. The group
is swept while its dead leader is not yet reaped: until then nobody else can have got its number.
"""

import asyncio
import os
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

from rrq_orchestrator.runners.launcher import wrapped
from rrq_orchestrator.runners.output import OutputRelay, Stream
from rrq_protocol import RRQError

__all__ = ["RunnerProcess", "StartFailed", "exit_text", "start_process"]

_STDERR = 2


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
        pid: Also the number of its session and process group.
        exited: Set when it has ended, has been reaped, and SIGKILL has gone to what was left of its group.
        returncode: As of :class:`subprocess.Popen`; None while it runs.
        outputs: Its captured streams.
        on_exit: Called just after ``exited`` was set.
    """

    def __init__(self, popen: "subprocess.Popen[bytes]", control_fd: int) -> None:
        self.pid = popen.pid
        self.exited = asyncio.Event()
        self.returncode: int | None = None
        self.outputs: list[OutputRelay] = []
        self.on_exit: Callable[[], None] | None = None
        self._popen = popen
        self._control_fd = control_fd
        self._loop = asyncio.get_running_loop()
        self._watch()

    @property
    def stdin(self) -> IO[bytes] | None:
        """The writing end of its stdin, for stdio runners."""
        return self._popen.stdin

    @property
    def stdout(self) -> IO[bytes] | None:
        """The reading end of its stdout, where that is a pipe."""
        return self._popen.stdout

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the whole group; nothing happens once the process was reaped."""
        if self.returncode is None:
            # Also on an exited leader: its number is its own until it is reaped. macOS refuses groups of
            # zombies.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    async def capture(self, log: FilteringBoundLogger, *, stdout: bool, quiet: bool = False) -> None:
        """Begin to relay the piped streams as log events."""
        log = log.bind(pid=self.pid)
        pipes: list[tuple[Stream, IO[bytes] | None]] = [("stderr", self._popen.stderr)]
        if stdout:
            pipes.append(("stdout", self._popen.stdout))
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
        for pipe in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._close_control()

    def _watch(self) -> None:
        try:
            descriptor = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # not Linux, or an old kernel
            threading.Thread(target=self._wait, name=f"runner-{self.pid}", daemon=True).start()
            return
        self._loop.add_reader(descriptor, self._on_exit, descriptor)

    def _wait(self) -> None:
        self._popen.wait()
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._on_exit, None)

    def _on_exit(self, descriptor: int | None) -> None:
        self.signal_group(signal.SIGKILL)
        self.returncode = self._popen.wait()
        if descriptor is not None:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
        self._reap_group()
        self._close_control()
        self.exited.set()
        if self.on_exit is not None:
            self.on_exit()

    def _reap_group(self) -> None:
        # Where we are process 1 of a container, orphans of the group have become our children.
        with suppress(ChildProcessError):
            while os.waitpid(-self.pid, os.WNOHANG)[0]:
                pass

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
) -> RunnerProcess:
    """Start a process. Must be called in the event loop's thread, which the process's life is tied to.

    Args:
        command: Program and arguments.
        environment: Given the number of the control pipe, returns the whole environment.
        cwd: Working directory.
        stdio: Connect stdin and stdout with pipes, for the protocol.
        capture: Pipe the output; else it goes to our stderr.

    Raises:
        StartFailed: The program or the directory does not exist, or the system has no room for a process.
    """
    reading, writing = os.pipe()
    try:
        env = environment(reading)
        _check(command[0], env, cwd)
        popen = subprocess.Popen(
            wrapped(list(command)),
            env=env,
            cwd=cwd,
            stdin=subprocess.PIPE if stdio else subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdio or capture else _our_stderr(),
            stderr=subprocess.PIPE if capture else _our_stderr(),
            pass_fds=(reading,),
            start_new_session=True,
            bufsize=0,
        )
    except BaseException as error:
        os.close(writing)
        if isinstance(error, OSError | subprocess.SubprocessError):
            raise StartFailed(f"cannot start {command[0]!r}: {error}") from error
        raise
    finally:
        os.close(reading)
    return RunnerProcess(popen, writing)


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
