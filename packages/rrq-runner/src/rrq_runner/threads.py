"""Threads for plain functions, so that none of them ever blocks the event loop.

Not ``concurrent.futures``: its interpreter-exit hook waits for every thread, and a function nobody can
interrupt must not keep a runner from ending. Results come back to the loop in batches: one wake-up serves all
that ended meanwhile.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic
from typing import Any, Literal


def default_limit() -> int:
    """Return how many threads a runner uses unless told otherwise."""
    return min(32, (os.cpu_count() or 1) + 4)


class Work:
    """One function call, queued or running.

    Attributes:
        state: ``queued``, ``running`` or ``over``. Written under the pool's lock.
        started_at: Monotonic seconds; None while queued.
    """

    __slots__ = ("done", "result", "run", "started_at", "state")

    def __init__(self, run: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self.run = run
        self.done = done
        self.state: Literal["queued", "running", "over"] = "queued"
        self.started_at: float | None = None
        self.result: Any = None


class HandlerThreads:
    """A bounded pool of daemon threads that belongs to one event loop.

    Methods are for the loop's thread only.
    """

    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        self.limit = limit
        self._loop = loop
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()  # guards Work.state and _woken
        self._ended: deque[Work] = deque()  # threads append, the loop takes
        self._woken = False
        self._open = 0  # loop only: queued or running

    def submit(self, run: Callable[[], Any], done: Callable[[Any], None]) -> Work:
        """Call ``run()`` in a thread, then ``done(result)`` on the loop. ``run`` must not raise."""
        work = Work(run, done)
        self._open += 1
        if self._open > len(self._threads) < self.limit:
            thread = threading.Thread(
                target=self._serve, name=f"rrq-handler-{len(self._threads) + 1}", daemon=True
            )
            self._threads.append(thread)
            thread.start()
        self._queue.put(work)
        return work

    def withdraw(self, work: Work) -> bool:
        """Take back what no thread has begun. Return False if it is too late: ``done`` will be called."""
        with self._lock:
            if work.state != "queued":
                return False
            work.state = "over"
        self._open -= 1
        return True

    @property
    def busy(self) -> bool:
        """True while a function is queued or running."""
        return self._open > 0

    def close(self, timeout_s: float) -> bool:
        """Let idle threads end. Return False if one is still in a function after ``timeout_s``."""
        for _ in self._threads:
            self._queue.put(None)
        until = monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until - monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _serve(self) -> None:
        while (work := self._queue.get()) is not None:
            with self._lock:
                if work.state == "over":
                    continue
                work.state = "running"
            work.started_at = monotonic()
            work.result = work.run()
            with self._lock:
                work.state = "over"
                self._ended.append(work)
                wake, self._woken = not self._woken, True
            if wake:
                try:
                    self._loop.call_soon_threadsafe(self._deliver)
                except RuntimeError:
                    return  # the loop is closed: nobody waits for results any more

    def _deliver(self) -> None:
        with self._lock:
            self._woken = False
            ended = list(self._ended)
            self._ended.clear()
        for work in ended:
            self._open -= 1
            work.done(work.result)
