"""A TCP connection that does not begin with the proof of the nonce gets nothing (RELIABILITY.md S1, S4)."""

import asyncio
import logging
import os
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from rrq_protocol import NONCE_BYTES, EndpointError, TcpEndpoint, nonce_proof
from rrq_runner.transports.gate import NONCE_FD_VARIABLE, Gatekeeper, take_nonce
from rrq_runner.transports.tcp import listen_tcp

pytestmark = pytest.mark.anyio

NONCE = bytes(range(NONCE_BYTES))
PROOF = nonce_proof(NONCE, "orchestrator")
SEED = 20260131


class Session(asyncio.Protocol):
    """Greets, and echoes."""

    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)
        Session.made += 1
        self._transport = transport
        transport.write(b"hello ")

    def data_received(self, data: bytes) -> None:
        """Echo."""
        self._transport.write(data)


class Silent(asyncio.Transport):
    """A connection on which nothing comes."""

    def abort(self) -> None:
        """End it."""


@asynccontextmanager
async def guarded_port(problem: str | None = None) -> AsyncIterator[tuple[int, Gatekeeper]]:
    """Listen behind a gate; ``problem`` is what the kernel's word on the peer is."""
    Session.made = 0
    keeper = Gatekeeper(NONCE, lambda _: problem, Session)
    listener = await listen_tcp(TcpEndpoint("127.0.0.1", 0), keeper)
    try:
        yield listener.endpoint.port, keeper
    finally:
        listener.close()
        keeper.close()


async def said(port: int, *pieces: bytes, expected: int = 0) -> bytes:
    """Return what comes back first when these bytes are sent, or so much as is expected; empty if the
    connection ends.
    """
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            with suppress(ConnectionError):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
            with suppress(ConnectionError):
                return await (reader.readexactly(expected) if expected else reader.read(1000))
            return b""
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@pytest.mark.parametrize("cut", [1, 31, 32, 33, 40])
async def test_the_proof_opens_the_gate(cut: int) -> None:
    """However it arrives: the other proof comes back, and what follows is for the session."""
    async with guarded_port() as (port, keeper):
        data = PROOF + b"and more"
        answer = await said(port, data[:cut], data[cut:], expected=NONCE_BYTES + 14)
        assert answer == nonce_proof(NONCE, "runner") + b"hello and more"
        assert not keeper.pending


async def test_a_stranger_hears_nothing() -> None:
    """Whatever it sends: garbage, a request, the nonce's other proof, a proof with one bit wrong, HTTP."""
    choose = random.Random(SEED)
    request = b'\x00\x00\x00\x7b{"type":"request","payload":{"function_name":"echo"}}'
    cancel = b'\x00\x00\x00\x54{"type":"cancel","payload":{"protocol_version":"2","job_id":"j1"}}'
    wrong = bytes([PROOF[0] ^ 1, *PROOF[1:]])
    known = [request, cancel, nonce_proof(NONCE, "runner"), wrong, b"POST / HTTP/1.1\r\nHost: localhost\r\n"]
    noise = [choose.randbytes(choose.randrange(NONCE_BYTES, 200)) for _ in range(200)]
    async with guarded_port() as (port, keeper):
        for each in known + noise:
            assert await said(port, each.ljust(NONCE_BYTES, b" ")) == b"", (SEED, each)
        assert (Session.made, len(keeper.pending)) == (0, 0)


async def test_strangers_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """One is told of; the others are counted."""
    with caplog.at_level(logging.WARNING, "rrq_runner"):
        async with guarded_port() as (port, _):
            for _ in range(20):
                assert await said(port, b"?" * NONCE_BYTES) == b""
    assert len(caplog.messages) < 20, caplog.messages
    assert set(caplog.messages) == {"runner.peer_refused"}


async def test_who_says_nothing_is_sent_away() -> None:
    """Too little in a second is as bad as something wrong."""
    async with guarded_port() as (port, keeper):
        assert await said(port, PROOF[:-1]) == b""
        assert (Session.made, len(keeper.pending)) == (0, 0)


async def test_only_so_many_wait_at_a_time() -> None:
    """The seventeenth is sent away at once, so that strangers cost next to nothing."""
    async with guarded_port() as (_, keeper):
        for _ in range(40):
            keeper().connection_made(Silent())
            assert len(keeper.pending) <= 16
        for gate in tuple(keeper.pending):
            gate.connection_lost(None)


async def test_the_kernels_word_comes_first() -> None:
    """Another user is refused even with the proof."""
    async with guarded_port("it belongs to user id 1") as (port, _):
        assert await said(port, PROOF) == b""
        assert Session.made == 0


def test_the_nonce_is_taken_once_and_acknowledged() -> None:
    """Neither the variable nor the descriptor is left for child processes."""
    ours, theirs = socket.socketpair()
    with ours:
        ours.send(NONCE)
        environ = {NONCE_FD_VARIABLE: str(theirs.detach())}
        descriptor = int(environ[NONCE_FD_VARIABLE])
        assert take_nonce(environ) == NONCE
        assert ours.recv(2) == b"\1"
        assert environ == {}
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(descriptor)
    assert take_nonce({}) is None


@pytest.mark.parametrize("text", ["x", "-1", "999999", "9" * 40])
def test_a_variable_that_means_nothing_is_refused(text: str) -> None:
    """A runner that was told to be careful does not start without care."""
    with pytest.raises(EndpointError, match="_NONCE_FD: expected the number of an inherited socket"):
        take_nonce({NONCE_FD_VARIABLE: text})


def test_half_a_nonce_is_refused() -> None:
    """As is one that is too short."""
    ours, theirs = socket.socketpair()
    with ours:
        ours.send(NONCE[:5])
        with pytest.raises(EndpointError, match="expected 32 bytes on that socket, got 5"):
            take_nonce({NONCE_FD_VARIABLE: str(theirs.detach())})
