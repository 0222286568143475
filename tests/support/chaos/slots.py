"""Processes of the bench, each in a slot that is filled again when its process dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["REGISTERED", "Incarnation", "Slot", "children", "marked"]

REGISTERED = "orchestrator.registered"
"""What an orchestrator logs when it has begun to work."""


@dataclass
class Incarnation:
    """One process of a slot.

    Attributes:
        slot: The slot's name.
        pid: The process.
        log: What it wrote to standard error.
        started: When, in monotonic seconds.
        signals: What the bench sent it.
        ended: When its end was noticed, 0 while it runs.
        code: Its exit code, negative for a signal.
        said: When its log was first seen to hold a text.
    """

    slot: str
    pid: int
    log: Path
    started: float
    signals: list[int] = field(default_factory=list)
    ended: float = 0.0
    code: int | None = None
    said: dict[str, float] = field(default_factory=dict)

    @property
    def unasked(self) -> bool:
        """Whether it ended in a way that nothing the bench did explains."""
        if self.code is None:
            return False
        if self.code == -signal.SIGKILL:
            return signal.SIGKILL not in self.signals
        # A producer knows no stop; it is only asked for one when its round was given up.
        if self.code == -signal.SIGTERM and self.slot.startswith("producer"):
            return signal.SIGTERM not in self.signals
        return self.code != 0

    def has_said(self, text: str) -> bool:
        """Whether its log holds ``text``."""
        if text not in self.said and text.encode() in self.log.read_bytes():
            self.said[text] = time.monotonic()
        return text in self.said


class Slot:
    """A command that is kept running.

    Args:
        name: E.g. ``orchestrator-1``.
        arguments: What follows ``python``.
        cwd: Where it runs, and where its logs go.
        env: Variables on top of this process's own without RRQ_*.
        pauses: Seconds until a process that died is replaced, one after the other.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], cwd: Path, env: Mapping[str, str], pauses: Sequence[float]
    ) -> None:
        self.name = name
        self.history: list[Incarnation] = []
        self.paused = False
        self.resumed = 0.0
        self.finished = False
        self._arguments, self._cwd, self._pauses = arguments, cwd, pauses
        clean = {key: value for key, value in os.environ.items() if not key.startswith("RRQ_")}
        self._env = {**clean, "PYTHONUNBUFFERED": "1", **env}
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at = 0.0

    @property
    def running(self) -> Incarnation | None:
        """The process, None where there is none at the moment."""
        return self.history[-1] if self._process is not None else None

    @property
    def watching_since(self) -> float:
        """Since when an orchestrator has had an eye on the others without a break; 0 if it has not."""
        alive = self.running
        if alive is None or self.paused or signal.SIGTERM in alive.signals or not alive.has_said(REGISTERED):
            return 0.0
        return max(alive.said[REGISTERED], self.resumed)

    def start(self) -> None:
        """Start a process."""
        log = self._cwd / f"{self.name}.{len(self.history)}.log"
        with log.open("wb") as stderr:
            # In a session of its own: an interrupt from the keyboard is for the bench alone.
            self._process = subprocess.Popen(
                [sys.executable, *self._arguments],
                cwd=self._cwd,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
        self.paused = False
        self.history.append(Incarnation(self.name, self._process.pid, log, time.monotonic()))

    def tend(self) -> None:
        """Notice an end; fill the slot again, unless the process is through with its work."""
        if self._process is None:
            if not self.finished and self._start_at <= time.monotonic():
                self.start()
            return
        if (code := self._process.poll()) is None:
            return
        last = self.history[-1]
        last.code, last.ended = code, time.monotonic()
        self._process = None
        self._start_at = last.ended + self._pauses[len(self.history) % len(self._pauses)]
        self.finished = self.finished or (code == 0 and signal.SIGTERM not in last.signals)

    def send(self, number: int) -> int:
        """Send a signal and return the process it went to, 0 where there is none."""
        if self._process is None:
            return 0
        self.history[-1].signals.append(number)
        self._process.send_signal(number)
        return self._process.pid

    def stop(self) -> None:
        """Start nothing any more, and ask what runs to end."""
        self.finished = True
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)


def marked(mark: str) -> list[int]:
    """Return the processes that have ``mark`` in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def children(pid: int) -> list[int]:
    """Return the children of a process; none where it is gone."""
    found = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += [int(each) for each in (task / "children").read_text().split()]
    return sorted(found)
