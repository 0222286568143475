"""Waiting without polling: one blocking read on the wake lists of the queues served (ARCHITECTURE.md, step
2).

A marker is a hint that is taken by one orchestrator only, so it is read only while there is room for a job.
One that arrives when the room has just been filled is given back, for somebody else to take.
"""

import asyncio
from collections.abc import Callable, Sequence

from rrq_orchestrator.errors import RedisGone, RedisRefused
from rrq_orchestrator.service import PassSignal
from rrq_orchestrator.store.redis import RedisLink, RedisLinks
from rrq_protocol import Keyspace

__all__ = ["BLOCK_S", "Waker"]

BLOCK_S = 2.0
"""Longest blocking read; a changed set of queues is seen after it at the latest."""


class Waker:
    """Turns wake markers into calls of ``on_wake(queue)``."""

    name = "wake"

    def __init__(
        self, keyspace: Keyspace, link: RedisLink, links: RedisLinks, on_wake: Callable[[str], None]
    ) -> None:
        self.passes = PassSignal()
        self._keyspace, self._link, self._links, self._on_wake = keyspace, link, links, on_wake
        self._queues: tuple[str, ...] = ()
        self._listening = asyncio.Event()

    def listen(self, queues: Sequence[str]) -> None:
        """Read the markers of these queues from now on; of none while there is no room."""
        self._queues = tuple(queues)
        if queues:
            self._listening.set()
        else:
            self._listening.clear()

    async def run(self) -> None:
        """Read markers until cancelled."""
        pauses = self._links.pauses()
        while True:
            await self._listening.wait()
            keys = [self._keyspace.wake(queue) for queue in self._queues]
            try:
                reply = await self._link.command("BLPOP", *keys, BLOCK_S)
                if reply is not None:
                    await self._hand_on(reply[0].decode())
            except (RedisGone, RedisRefused):
                await pauses.pause()
            else:
                pauses = self._links.pauses()
            self.passes.done()

    async def _hand_on(self, key: str) -> None:
        queue = key.removeprefix(self._keyspace.wake(""))
        if self._listening.is_set():
            self._on_wake(queue)
        else:
            await self._link.command("LPUSH", key, "1")
