"""The first words with Redis: until it does what the scripts need, nothing else begins."""

import asyncio

from rrq_orchestrator.errors import RedisGone
from rrq_orchestrator.farewell import StopRequest
from rrq_orchestrator.store.redis import RedisLink, RedisLinks
from rrq_protocol import ScriptCall

__all__ = ["arrive"]


async def arrive(links: RedisLinks, link: RedisLink, write: ScriptCall[int], stop: StopRequest) -> bool:
    """Wait for a Redis that takes a write by a script.

    Args:
        links: All connections; told that Redis was reached.
        link: The one to ask over.
        write: A transition that changes nothing, yet needs the rights that all of them need.
        stop: Ends the wait.

    Returns:
        False if a stop was asked for before it came.

    Raises:
        RedisRefused: Redis does not accept us (password, rights): now, and not in the middle of work.
    """
    probing = asyncio.ensure_future(_probe(links, link, write))
    stopping = asyncio.ensure_future(stop.asked.wait())
    try:
        await asyncio.wait([probing, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not probing.done():
            return False
        probing.result()
    finally:
        stopping.cancel()
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)
    links.reached = True
    return True


async def _probe(links: RedisLinks, link: RedisLink, write: ScriptCall[int]) -> None:
    pauses = links.pauses()
    while True:
        try:
            await link.command("PING")
            await link.run(write)
        except RedisGone:
            await pauses.pause()
        else:
            links.written()
            return
