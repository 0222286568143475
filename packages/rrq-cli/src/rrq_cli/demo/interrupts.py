"""Signals as a flag that waits look at, so that nothing is ever half started when one arrives."""

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Interrupted", "Interrupts"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A signal asked the demo to end; ``number`` is the first one that did."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Interrupts:
    """Catch SIGINT, SIGTERM and SIGHUP while the block runs.

    Attributes:
        count: Signals so far; more than one means that no grace is wanted any more.
    """

    def __init__(self) -> None:
        self.count = 0
        self._first = signal.SIGINT
        self._arrived = threading.Event()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interrupts":
        for name in _SIGNALS:
            self._before[name] = signal.signal(name, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, handler in self._before.items():
            signal.signal(name, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self.count:
            self._first = signal.Signals(number)
        self.count += 1
        self._arrived.set()

    def check(self) -> None:
        """Go on, or stop here.

        Raises:
            Interrupted: A signal has arrived.
        """
        if self._arrived.is_set():
            raise Interrupted(self._first)

    def wait(self, seconds: float) -> None:
        """Wait, at most until a signal arrives.

        Raises:
            Interrupted: One has.
        """
        # An Event wakes up at once: the handler that sets it runs in this thread, between two steps of the
        # wait.
        give_up = time.monotonic() + seconds
        while (left := give_up - time.monotonic()) > 0:
            self.check()
            self._arrived.wait(min(left, 0.05))
        self.check()
