"""Programs that a page starts: run to their end, or kept in the background; and what they print."""

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

__all__ = ["PageProblem", "Program", "expected", "normal"]

ENDED_WITHIN_S = 60.0
READY_WITHIN_S = 30.0
STOPPED_WITHIN_S = 20.0

_ELLIPSIS = re.compile(r" ?(?:…|\.\.\.) ?")


class PageProblem(Exception):
    """A block does not do what its page says; the text says where and what."""


def normal(text: str) -> str:
    """Return output with runs of blanks and of rules shortened, and empty lines left out."""
    lines = (re.sub(r"([ \t]|─)+", r"\1", line).strip() for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line)


def expected(lines: Sequence[str]) -> "re.Pattern[str]":
    """Return the pattern of output as a page shows it, to be matched with :func:`normal` output.

    ``…`` or ``...`` in a line stands for any text in it, alone on a line for any number of lines.
    """
    pattern = []
    for line in normal("\n".join(lines)).splitlines():
        if _ELLIPSIS.fullmatch(line):
            pattern.append(r"(?:[^\n]*\n)*?")
        else:
            pattern.append(r"[^\n]*?".join(re.escape(part) for part in _ELLIPSIS.split(line)) + r"\n")
    return re.compile("".join(pattern))


class Program:
    """A shell command in a group of its own. Its output, both streams together, is gathered by a thread.

    Args:
        command: What a shell gets.
        folder: Where it runs.
        environment: All of its environment.
    """

    def __init__(self, command: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.command = command
        self._process = subprocess.Popen(
            # exec: the signal meant for the program must not end a shell before it.
            ["bash", "-c", command if re.search(r"[;&|\n]", command) else f"exec {command}"],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._output: list[str] = []
        self._more = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Program":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the whole group, whatever is left of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(STOPPED_WITHIN_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._more:
                self._output.append(line.decode(errors="replace"))
                self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()

    @property
    def output(self) -> str:
        """What it has printed so far."""
        with self._more:
            return "".join(self._output)

    def wait(self) -> int:
        """Wait for its end and return its exit code.

        Raises:
            PageProblem: It does not end.
        """
        try:
            code = self._process.wait(ENDED_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise PageProblem(
                f"{self.command}: not ended after {ENDED_WITHIN_S:g} s\n{self.output}"
            ) from None
        self._reader.join(STOPPED_WITHIN_S)
        return code

    def wait_for(self, pattern: "re.Pattern[str]") -> None:
        """Wait until its output begins as ``pattern`` says.

        Raises:
            PageProblem: It ends first, or takes too long.
        """

        def seen() -> bool:
            return self._ended or pattern.match(normal("".join(self._output))) is not None

        with self._more:
            in_time = self._more.wait_for(seen, READY_WITHIN_S)
        if pattern.match(normal(self.output)) is None:
            what = "ended before" if in_time else "did not print"
            raise PageProblem(f"{self.command}: {what} what the page shows; it printed:\n{self.output}")

    def stop(self) -> None:
        """End it as Ctrl-C does.

        Raises:
            PageProblem: It ended before, does not end, or not with exit code 0.
        """
        if self._process.poll() is not None:
            raise PageProblem(f"{self.command}: ended by itself; it printed:\n{self.output}")
        self._process.send_signal(signal.SIGINT)
        try:
            code = self._process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise PageProblem(
                f"{self.command}: still there after Ctrl-C; it printed:\n{self.output}"
            ) from None
        if code != 0:
            raise PageProblem(f"{self.command}: exit code {code} after Ctrl-C; it printed:\n{self.output}")
