"""Commands run as processes of their own: what they print, how they end, and signals in between."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["Command", "run_module", "wait_until_gone"]

WITHIN_S = 30.0


class Command:
    """``python -m MODULE ARGUMENTS`` in a folder, without this machine's RRQ_* variables; killed at the end
    of the block.

    Args:
        module: The module to run, or ``-c`` with the program as the first argument.
        arguments: Its arguments.
        cwd: Where it runs.
        env: Variables on top.
        stdout: As of :class:`subprocess.Popen`.
        python: The interpreter.

    Attributes:
        lines: What it has written to standard error so far.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        stdout: Any = subprocess.PIPE,
        python: str = sys.executable,
    ) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("RRQ_")}
        head = [python, "-c"] if module == "-c" else [python, "-m", module]
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(
            [*head, *arguments],
            cwd=cwd,
            env={**clean, "PYTHONUNBUFFERED": "1", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Command":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(WITHIN_S)
        self._reader.join(WITHIN_S)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        if error is not None:
            print("standard error:", *self.lines, sep="\n")

    def wait_for(self, text: str) -> str:
        """Return the first line on standard error that holds ``text``."""
        give_up = time.monotonic() + WITHIN_S
        with self._changed:
            while True:
                for line in self.lines:
                    if text in line:
                        return line
                ended = self._ended
                if ended or not self._changed.wait(max(0.0, give_up - time.monotonic())):
                    raise AssertionError(f"expected {text!r} on standard error, got {self.lines}")

    def events(self) -> list[dict[str, Any]]:
        """Return the JSON log events written so far."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    def named(self, name: str) -> list[dict[str, Any]]:
        """Return the JSON log events of this name written so far."""
        return [event for event in self.events() if event["event"] == name]

    def told(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until there are so many JSON log events of this name, and return them all.

        What a process logs comes after what it wrote to Redis: whoever has seen the one waits for the other.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._ended or len(self.named(name)) >= count, WITHIN_S):
                raise AssertionError(f"expected {count} events {name!r}, got {self.lines}")
        return self.named(name)

    def first_output(self) -> str:
        """Return the first line on standard output."""
        assert self.process.stdout is not None
        line: str = self.process.stdout.readline()
        return line.strip()

    def kill(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def code(self) -> int:
        """Wait for its end and return the exit code; all of standard error has been read then."""
        code = self.process.wait(WITHIN_S)
        self._reader.join(WITHIN_S)
        return code

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def run_module(
    module: str, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m MODULE ARGUMENTS`` to its end."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("RRQ_")}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env={**clean, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


def wait_until_gone(pids: Sequence[int]) -> None:
    """Wait until none of the processes runs; a zombie has ended."""
    give_up = time.monotonic() + WITHIN_S
    for pid in pids:
        while _runs(pid):
            if time.monotonic() > give_up:
                raise AssertionError(f"expected process {pid} to be gone")
            time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # gone meanwhile, or a system without /proc
        return not Path("/proc/self/stat").exists()
    return state != "Z"
