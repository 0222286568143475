"""A nonce between an orchestrator and the processes it starts on TCP ports."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest

from rrq_orchestrator.runners.dial import dial
from rrq_orchestrator.runners.nonce import Nonce
from rrq_orchestrator.runners.process import StartFailed
from rrq_protocol import NONCE_BYTES, CancelMessage, CancelRequest, TcpEndpoint, encode_frame, nonce_proof
from support import fake_runner
from support.runner_pools import PATIENCE_S, bench

pytestmark = pytest.mark.anyio


def take(nonce: Nonce) -> bytes:
    """Take a nonce over, as a runner process does."""
    descriptor = os.dup(nonce.fd)
    nonce.handed_over()
    secret = os.read(descriptor, 100)
    os.write(descriptor, b"\1")
    os.close(descriptor)
    return secret


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[tuple[TcpEndpoint, list[bytes]]]:
    """Listen; answer the first bytes of each connection so, and keep all that comes."""
    heard: list[bytes] = []
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1000))
        if answer:
            writer.write(answer)
            heard.append(await reader.read())
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield TcpEndpoint("127.0.0.1", server.sockets[0].getsockname()[1]), heard
        with anyio.fail_after(PATIENCE_S):
            await ended.wait()


async def test_both_ends_prove_themselves_before_anything_is_said() -> None:
    """Each sends its own proof; the nonce itself stays at home."""
    nonce = Nonce()
    before, secret = nonce.taken, take(nonce)
    assert (before, nonce.taken) == (False, True)
    assert len(secret) == NONCE_BYTES
    async with answering(nonce_proof(secret, "runner")) as (endpoint, heard):
        connected = asyncio.get_running_loop().create_future()

        class Connection(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                connected.set_result(transport)

        with anyio.fail_after(PATIENCE_S):
            await dial(endpoint, Connection, None, nonce=nonce)
            (await connected).close()
        assert heard[0] == nonce_proof(secret, "orchestrator")
    nonce.close()


@pytest.mark.parametrize("answer", [bytes(NONCE_BYTES), b"echo"])
async def test_a_stranger_at_the_address_gets_no_frame(answer: bytes) -> None:
    """One that answers something else, or repeats what it hears, is another program."""
    nonce = Nonce()
    secret = take(nonce)
    if answer == b"echo":
        answer = nonce_proof(secret, "orchestrator")
    async with answering(answer) as (endpoint, heard):
        with anyio.fail_after(PATIENCE_S), pytest.raises(StartFailed, match="another program answers"):
            await dial(endpoint, asyncio.Protocol, None, nonce=nonce)
    assert heard == [nonce_proof(secret, "orchestrator"), b""]
    nonce.close()


async def test_who_hangs_up_is_tried_again() -> None:
    """It may be a runner that had no patience with a machine this slow; once is enough without patience."""
    nonce = Nonce()
    take(nonce)
    async with answering(b"") as (endpoint, _):
        with anyio.fail_after(PATIENCE_S), pytest.raises(StartFailed, match="closed before it showed"):
            await dial(endpoint, asyncio.Protocol, None, patient=False, nonce=nonce)
    nonce.close()


async def test_a_runner_that_takes_no_part_is_spoken_to_at_once() -> None:
    """Those of other makers know of no nonce: not a byte comes before the first frame."""
    nonce = Nonce()
    nonce.handed_over()
    async with answering(b"") as (endpoint, heard):
        frame = encode_frame(CancelMessage(payload=CancelRequest(job_id="j1")))

        class Connection(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                assert isinstance(transport, asyncio.Transport)
                transport.write(frame)

        with anyio.fail_after(PATIENCE_S):
            await dial(endpoint, Connection, None, nonce=nonce)
    assert heard[0] == frame
    nonce.close()


async def test_a_process_that_takes_no_nonce_is_told_of() -> None:
    """Once per start, on TCP alone: any local user can run its handlers (S1, S2)."""
    async with bench({"tcp_port": 0}) as pool:
        await pool.ready()
        (event,) = pool.events("runner.took_no_nonce")
        assert event["log_level"] == "warning"
        assert str(event["address"]).startswith("127.0.0.1:")
        assert "Unix socket" in str(event["hint"])
    for config in ({}, {"cmd": (), "app": "rrq_runner.demo:settings", "tcp_port": 0}):
        async with bench(config) as pool:
            await pool.ready()
            assert pool.events("runner.took_no_nonce") == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="whose port it is, Linux tells")
async def test_a_wrong_proof_of_our_own_process_is_its_own() -> None:
    """Nobody is sent to look for another program on a free port."""
    runner = Path(fake_runner.__file__).with_name("faulty_runner.py")
    async with bench({"cmd": (sys.executable, "-S", str(runner), "wrong_proof"), "tcp_port": 0}) as pool:
        await pool.recorder.until(lambda: pool.events("runner.start_failed"))
        detail = str(pool.events("runner.start_failed")[0]["detail"])
        assert "its proof is wrong" in detail
        assert "another program" not in detail


async def test_a_process_that_shows_no_proof_is_not_called_deaf() -> None:
    """It listens; what it owes is said."""
    code = (
        "import os, socket, time; fd = int(os.environ['RRQ_RUNNER_NONCE_FD']);"
        "os.read(fd, 32); os.write(fd, bytes([1]));"
        "host, _, port = os.environ['RRQ_RUNNER_TCP_SOCKET'].rpartition(':');"
        "server = socket.create_server((host, int(port))); time.sleep(600)"
    )
    config = {"cmd": (sys.executable, "-S", "-c", code), "tcp_port": 0}
    async with bench(config, runner_connect_timeout_ms=3000) as pool:
        # A start that this machine was too slow for is another failure, and another try.
        await pool.recorder.until(
            lambda: any("did not show its own" in str(each) for each in pool.events("runner.start_failed"))
        )


async def test_a_runner_of_ours_serves_its_orchestrator_only() -> None:
    """Over TCP, another program of the same user is not even greeted; the orchestrator is served on (S1)."""
    config = {"cmd": (), "app": "rrq_runner.demo:settings", "tcp_port": 0, "max_in_flight": 4}
    async with bench(config) as pool:
        await pool.ready()
        (listening,) = [each for each in pool.events("runner.output") if "runner.listening" in str(each)]
        port = int(str(listening).split("127.0.0.1:")[1].split()[0].rstrip("'\",}"))
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.settimeout(PATIENCE_S)
            stranger.sendall(encode_frame(CancelMessage(payload=CancelRequest(job_id="job-r1"))))
            assert await anyio.to_thread.run_sync(stranger.recv, 100) == b""
        pool.submit("r1", "no_such_handler")
        await pool.recorder.until(lambda: "r1" in pool.recorder.outcomes)
