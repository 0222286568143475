"""Carrying a reading out over a connection, as fast as it may."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from rrq_orchestrator.audit.batches import Reading
from rrq_protocol import Clock

__all__ = ["Asks", "drive"]

T = TypeVar("T")
LONGEST_REST_S = 10.0
"""Rest after one batch at most, in seconds."""


class Asks(Protocol):
    """A connection that carries out many commands in one go."""

    async def batch(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return the raw replies; errors are values."""


async def drive(
    reading: Reading[T],
    link: Asks,
    clock: Clock,
    *,
    share: float = 1.0,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> T:
    """Return the outcome of a reading.

    Args:
        reading: What is read.
        link: Where from.
        clock: Measures the time that batches take.
        share: The part of the time that may be spent; the rest is slept through after each batch, up to
            ``LONGEST_REST_S``.
        sleep: How.
    """
    replies: list[Any] | None = None
    while True:
        begun = clock.monotonic()
        try:
            commands = next(reading) if replies is None else reading.send(replies)
        except StopIteration as end:
            outcome: T = end.value
            return outcome
        replies = await link.batch(commands)
        if share < 1:
            # A batch that took long was not work all the time: this process, or the machine, stood still.
            await sleep(min((clock.monotonic() - begun) * (1 / share - 1), LONGEST_REST_S))
