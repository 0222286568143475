"""Writing log lines without ever waiting for the reader (RELIABILITY.md F93, F94).

A caller only appends to a bounded queue. One thread writes it out and is the only one that may block: on a
pipe whose reader has stopped, on a terminal held with Ctrl-S, on a slow disk. What does not fit, or cannot be
written, is dropped and counted; the count is reported in the log as soon as lines get through again.
"""

import collections
import contextlib
import os
import select
import threading
from collections.abc import Callable
from typing import Final

__all__ = ["LogWriter"]

_MAX_BYTES: Final = 4 * 1024 * 1024
_BATCH_BYTES: Final = 64 * 1024


class LogWriter:
    """Bounded queue in front of a file descriptor.

    Args:
        fd: Where to write. It is not closed.
        dropped_line: Makes the line that reports how many were dropped.
        max_bytes: Most bytes that wait at a time.
    """

    def __init__(self, fd: int, dropped_line: Callable[[int], str], *, max_bytes: int = _MAX_BYTES) -> None:
        self._fd = fd
        self._dropped_line = dropped_line
        self._max_bytes = max_bytes
        self._torn = False  # only the thread's: the last write ended inside a line
        # All below are guarded by the condition; the thread takes lines out, everybody else only adds.
        self._changed = threading.Condition()
        self._waiting: collections.deque[bytes] = collections.deque()
        self._waiting_bytes = 0
        self._writing = False
        self._closed = False
        self._unreported = 0
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="rrq-log-writer", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines that were dropped so far."""
        return self._dropped

    def write(self, line: str) -> None:
        """Add a line, without its end. Never blocks; drops the line when the queue is full or closed."""
        data = _encoded(line)
        with self._changed:
            if self._closed or self._waiting_bytes + len(data) > self._max_bytes:
                self._drop(1)
                return
            self._waiting.append(data)
            self._waiting_bytes += len(data)
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything was written, or the time is over. Returns whether it was."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._writing, timeout_s)

    def close(self, timeout_s: float = 1.0) -> None:
        """Write out what waits, for at most ``timeout_s``, and end the thread. Later lines are dropped.

        A thread that is stuck in a write stays behind: it holds up nothing, and ends with the process.
        """
        self.flush(timeout_s)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if not self._writing:
            self._thread.join(timeout_s)

    def _drop(self, count: int) -> None:
        self._dropped += count
        self._unreported += count

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            lines, unreported = batch
            told = not unreported or self._write_out([_encoded(self._dropped_line(unreported))]) == 0
            lost = self._write_out(lines) if told else len(lines)
            with self._changed:
                self._writing = False
                self._drop(lost)
                if not told:
                    self._unreported += unreported
                self._changed.notify_all()

    def _next_batch(self) -> tuple[list[bytes], int] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            lines, size = [], 0
            while self._waiting and size < _BATCH_BYTES:
                lines.append(self._waiting.popleft())
                size += len(lines[-1])
            self._waiting_bytes -= size
            self._writing = True
            unreported, self._unreported = self._unreported, 0
            return lines, unreported

    def _write_out(self, lines: list[bytes]) -> int:
        """Write the lines; returns how many could not be, the last ones: full disk, closed pipe."""
        data = memoryview((b"\n" if self._torn else b"") + b"".join(lines))
        done = 0
        while done < len(data):
            try:
                done += os.write(self._fd, data[done:])
            except BlockingIOError:  # somebody made the descriptor non-blocking; it may be shared
                self._wait_until_writable()
            except OSError:
                break
        rest, lost = len(data) - done, 0
        while rest > 0 and lost < len(lines):
            lost += 1
            rest -= len(lines[-lost])
        self._torn = rest < 0 or (self._torn and done == 0)
        return lost

    def _wait_until_writable(self) -> None:
        with contextlib.suppress(OSError):
            poller = select.poll()
            poller.register(self._fd, select.POLLOUT)
            poller.poll(1000)


def _encoded(line: str) -> bytes:
    return line.encode("utf-8", "backslashreplace") + b"\n"
