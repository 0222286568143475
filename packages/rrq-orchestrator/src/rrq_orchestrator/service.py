"""What all long-running parts of the orchestrator have in common (ARCHITECTURE.md *Concurrency inside the
orchestrator*).

A service is one object in one file: settings in, ``run()`` until cancelled. Redis errors are handled inside,
by repeating; any other exception is a defect and ends the process with a non-zero code, so that its lease
lapses and others take over.
"""

import asyncio
from typing import Protocol

__all__ = ["PassSignal", "Service"]


class Service(Protocol):
    """A part that runs as long as the orchestrator does."""

    name: str

    async def run(self) -> None:
        """Do the work until cancelled."""


class PassSignal:
    """Counts the passes of a service, and lets tests wait for one instead of sleeping."""

    def __init__(self) -> None:
        self.count = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    def done(self) -> None:
        """Note that a pass ended."""
        self.count += 1
        for target, waiter in self._waiters:
            if target <= self.count and not waiter.done():
                waiter.set_result(None)
        self._waiters = [(target, waiter) for target, waiter in self._waiters if not waiter.done()]

    async def next(self, passes: int = 1) -> None:
        """Wait until that many further passes have ended."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((self.count + passes, waiter))
        await waiter
