"""``rrq``, or another program, on a terminal of its own: a pseudo terminal of a given size, keys typed, what
is shown read.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

__all__ = ["Terminal"]

_CONTROLS = re.compile(r"\x1b\][^\x07]*\x07|\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][0-9A-B]|\x1b[=>78]|\r")
_GIVE_UP_S = 60.0


class Terminal:
    """A process whose three streams are a terminal.

    Args:
        args: The words after the program.
        environment: Its environment.
        folder: Where it runs.
        size: Lines and columns.
        program: What is run; ``rrq`` unless told otherwise.
    """

    def __init__(
        self,
        args: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        size: tuple[int, int] = (24, 80),
        program: Sequence[str] = (sys.executable, "-m", "rrq_cli"),
    ) -> None:
        self.raw = ""
        self._main, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        kept = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [*program, *args],
            env={**kept, "TERM": "xterm-256color"},
            cwd=folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self._main)

    @property
    def text(self) -> str:
        """All that was shown so far, without what drives the terminal."""
        return _CONTROLS.sub("", self.raw)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._main, keys.encode())

    def wait_for(self, text: str, *, times: int = 1) -> str:
        """Read until a text was shown so often; return all that was shown."""
        self._read_until(lambda: self.text.count(text) >= times, text)
        return self.text

    def shows(self, text: str, within_s: float) -> bool:
        """Read for so long at most; return whether a text was shown."""
        give_up = time.monotonic() + within_s
        while text not in self.text and time.monotonic() < give_up:
            self._read(0.2)
        return text in self.text

    def wait_for_end(self) -> int:
        """Read until the process has ended; return its exit code."""
        self._read_until(lambda: self.process.poll() is not None, "the end")
        while self._read(0.0):
            pass
        return self.process.returncode

    def _read_until(self, done: Callable[[], bool], what: str) -> None:
        give_up = time.monotonic() + _GIVE_UP_S
        while not done():
            assert time.monotonic() < give_up, f"{what!r} was not shown:\n{self.text[-3000:]}"
            if not self._read(0.2) and self.process.poll() is not None:
                assert done(), f"ended without {what!r}:\n{self.text[-3000:]}"
                return

    def _read(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self._main], [], [], timeout_s)
        if not ready:
            return False
        try:
            data = os.read(self._main, 65_536)
        except OSError:  # nobody has the other end any more
            return False
        self.raw += data.decode("utf-8", "replace")
        return bool(data)
