"""The processes of the demo: each in its own session, all known to the guard, all ended with the block."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from rrq_cli.demo import guard
from rrq_cli.demo.interrupts import Interrupts

__all__ = ["Child", "Children"]

_ORDERLY_S = 12.0
_BRIEF_S = 20.0
_HURRIED_S = 1.0
_KILLED_S = 5.0
_POLL_S = 0.01


@dataclass(eq=False)
class Child:
    """A process of the demo.

    Attributes:
        name: What people call it.
        process: The process; its id is that of its group.
        brief: It ends by itself soon, and is waited for rather than cut short.
    """

    name: str
    process: subprocess.Popen[bytes]
    brief: bool = False

    def code(self) -> int | None:
        """Return its exit code, None while it runs."""
        return self.process.poll()


class Children:
    """Start processes; leaving the block ends those that run, the last one first.

    Args:
        interrupts: A second signal shortens every grace.
        environment: What the processes get as environment.
        folder: Where they run.
        lock: A descriptor that the guard holds open for as long as it lives.
    """

    def __init__(
        self, interrupts: Interrupts, environment: Mapping[str, str], folder: Path, lock: int
    ) -> None:
        self._lock = lock
        self._interrupts, self._environment, self._folder = interrupts, dict(environment), folder
        self._running: list[Child] = []
        self._stop_command: list[str] = []
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Children":
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            pass_fds=(self._lock,),
            env=self._environment,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self._running[:]):
            self.end(child)
        if self._stop_command:
            self._run_stop_command()
        self._dismiss_guard()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        stdout: int | IO[bytes],
        stderr: int | IO[bytes],
        brief: bool = False,
    ) -> Child:
        """Start a process in a session of its own; a ``brief`` one is never cut short."""
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=self._environment,
            cwd=self._folder,
            start_new_session=True,
        )
        child = Child(name, process, brief)
        self._running.append(child)
        self._tell(f"{'await' if brief else 'group'} {process.pid}")
        return child

    def forget(self, child: Child) -> None:
        """Take note that a process has ended by itself."""
        if child in self._running:
            self._running.remove(child)
            self._tell(f"gone {child.process.pid}")

    def stop_at_the_end(self, command: Sequence[str]) -> None:
        """Run a command when the block is left, or when the demo is killed."""
        self._stop_command = list(command)
        self._tell("stop " + json.dumps(self._stop_command))

    def keep(self) -> None:
        """Take :meth:`stop_at_the_end` back."""
        self._stop_command = []
        self._tell("keep")

    def end(self, child: Child) -> None:
        """Ask a process to end, wait for it, and kill its group if it does not."""
        if child.code() is None:
            if not child.brief:
                self._signal(child, signal.SIGTERM)
            give_up = time.monotonic() + (_BRIEF_S if child.brief else _ORDERLY_S)
            while child.code() is None and time.monotonic() < give_up:
                if self._interrupts.count > 1:
                    give_up = min(give_up, time.monotonic() + _HURRIED_S)
                time.sleep(_POLL_S)
        self._signal(child, signal.SIGKILL)  # whatever is left of its group
        with suppress(subprocess.TimeoutExpired):
            child.process.wait(_KILLED_S)
        self.forget(child)

    def _signal(self, child: Child, name: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, name)

    def _run_stop_command(self) -> None:
        quiet = subprocess.DEVNULL
        with suppress(subprocess.TimeoutExpired, OSError):
            subprocess.run(
                self._stop_command,
                stdin=quiet,
                stdout=quiet,
                stderr=quiet,
                env=self._environment,
                cwd=self._folder,
                start_new_session=True,
                timeout=30,
                check=False,
            )
        self.keep()

    def _tell(self, order: str) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            with suppress(BrokenPipeError):
                self._guard.stdin.write(order.encode() + b"\n")
                self._guard.stdin.flush()

    def _dismiss_guard(self) -> None:
        if self._guard is None or self._guard.stdin is None:
            return
        with suppress(BrokenPipeError):
            self._guard.stdin.close()
        try:
            self._guard.wait(_KILLED_S)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
