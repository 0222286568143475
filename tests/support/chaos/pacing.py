"""How far a round is, and how far its producers may go: faults and jobs wait for each other, so that a slow
machine gets as many faults per job as a fast one.
"""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from support.chaos.ledger import Acknowledged, Entry, Seen

__all__ = ["Gate", "Pulse", "Tally"]

_LOOK_S = 0.05
# Of the jobs of a round: so far ahead of the next fault they may be.
_AHEAD = 0.06
# Jobs that are due and wait. With more, how long a job waits says nothing of what happened to it.
_MOST_DUE = 60
_PULSE_S = 0.02
_entry = msgspec.json.Decoder[Entry](Entry).decode
_seen = msgspec.json.Decoder(Seen).decode


class Tally:
    """Reads ledgers and witness as they grow.

    Attributes:
        accepted: Jobs acknowledged so far.
    """

    def __init__(self, ledgers: Sequence[Path], witness: Path) -> None:
        self.accepted = 0
        self._ledgers, self._witness = list(ledgers), witness
        self._read = dict.fromkeys([*ledgers, witness], 0)
        self._waiting: set[str] = set()
        self._started: set[str] = set()
        self._looked = 0.0

    @property
    def waiting(self) -> int:
        """How many acknowledged jobs no handler has seen yet."""
        return len(self._waiting)

    @property
    def started(self) -> int:
        """How many jobs handlers have seen."""
        return len(self._started)

    def look(self) -> None:
        """Read what is new; not at every call."""
        if (now := time.monotonic()) < self._looked + _LOOK_S:
            return
        self._looked = now
        for line in self._new(self._witness):
            self._started.add(_seen(line).job)
        for path in self._ledgers:
            for line in self._new(path):
                entry = _entry(line)
                if isinstance(entry, Acknowledged):
                    self.accepted += 1
                    self._waiting.add(entry.id)
        self._waiting -= self._started

    def _new(self, path: Path) -> list[bytes]:
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(self._read[path])
            data = file.read()
        # The last line may not be whole yet.
        whole = data[: data.rfind(b"\n") + 1]
        self._read[path] += len(whole)
        return whole.splitlines()


class Gate:
    """A file that tells the producers how many jobs of the round may be accepted by now."""

    def __init__(self, path: Path, jobs: int) -> None:
        self._path, self._jobs = path, jobs
        self._open = 0
        self._write(0)

    def move(self, owed_from: float, tally: Tally, due: int) -> None:
        """Let jobs through as far as the next fault owed allows, and as handlers keep up with them.

        Args:
            owed_from: The share of the jobs at which the next fault comes.
            tally: How far it is.
            due: Jobs that wait in the queue though they could start.
        """
        most = max(0, _MOST_DUE - due)
        allowed = min(self._jobs, int((owed_from + _AHEAD) * self._jobs))
        if allowed > self._open:
            # Not all at once: what is let through cannot be called back.
            self._write(min(allowed, max(self._open, tally.accepted + most)))

    def _write(self, allowed: int) -> None:
        if allowed != self._open or not allowed:
            beside = self._path.with_suffix(".new")
            beside.write_text(str(allowed))
            beside.replace(self._path)
            self._open = allowed


class Pulse:
    """Measures how long the machine keeps a thread from running that only wants to sleep for a moment. What
    happens meanwhile takes so much longer, and nobody but the machine is to blame.
    """

    def __init__(self) -> None:
        self._held: list[tuple[float, float]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def held(self) -> list[tuple[float, float]]:
        """Return when it was held up, and for how many seconds, in order."""
        return list(self._held)

    def _run(self) -> None:
        before = time.monotonic()
        while not self._over.wait(_PULSE_S):
            now = time.monotonic()
            if (late := now - before - _PULSE_S) > _PULSE_S:
                self._held.append((now, late))
            before = now
