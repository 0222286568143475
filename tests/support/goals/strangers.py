"""Who connects to a runner without being let in."""

import asyncio
import logging
import random
from contextlib import suppress

from rrq_protocol import NONCE_BYTES, TcpEndpoint, nonce_proof
from rrq_runner.transports.gate import Gatekeeper
from rrq_runner.transports.tcp import listen_tcp
from support.goals.report import Report

__all__ = ["strangers"]

_AT_ONCE = 8
_REQUEST = b'\x00\x00\x00\x7b{"type":"request","payload":{"function_name":"echo"}}'


class _Session(asyncio.Protocol):
    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        _Session.made += 1


def strangers(report: Report, rng: random.Random, connections: int) -> None:
    """G22: connections to a runner's TCP port without its orchestrator's proof, over the loopback."""
    logging.getLogger("rrq_runner").setLevel(logging.CRITICAL)
    answered, refused = asyncio.run(_knock(rng, connections))
    text = f"{_Session.made} of {connections} connections without a proof served, {answered} answered"
    report.demand("G22", text, met=not _Session.made and not answered and refused == connections)


async def _knock(rng: random.Random, connections: int) -> tuple[int, int]:
    nonce = rng.randbytes(NONCE_BYTES)
    keeper = Gatekeeper(nonce, lambda _: None, _Session)
    listener = await listen_tcp(TcpEndpoint("127.0.0.1", 0), keeper)
    answered = refused = 0
    _Session.made = 0
    try:
        for first in range(0, connections, _AT_ONCE):
            count = min(_AT_ONCE, connections - first)
            replies = await asyncio.gather(
                *(_ask(listener.endpoint.port, _bytes(rng, nonce)) for _ in range(count))
            )
            answered += sum(reply != b"" for reply in replies)
            refused += sum(reply == b"" for reply in replies)
    finally:
        listener.close()
        keeper.close()
    return answered, refused


def _bytes(rng: random.Random, nonce: bytes) -> bytes:
    """Return a request, noise, the other end's proof, or the right one with a bit wrong."""
    proof = bytearray(nonce_proof(nonce, "orchestrator"))
    proof[rng.randrange(len(proof))] ^= 1 << rng.randrange(8)
    noise = rng.randbytes(rng.randint(NONCE_BYTES, 200))
    return rng.choice((_REQUEST, noise, nonce_proof(nonce, "runner"), bytes(proof) + _REQUEST))


async def _ask(port: int, data: bytes) -> bytes:
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            with suppress(ConnectionError):
                writer.write(data)
                return await reader.read(1000)
            return b""
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
