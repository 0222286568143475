"""A pair of descriptors behaves like a connection."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rrq_runner.transports.stdio import Pipes, StdioTransport, listen_stdio

pytestmark = pytest.mark.anyio


class Recorder(asyncio.Protocol):
    """Remembers what happened."""

    def __init__(self, *, keep_open: bool = False) -> None:
        self.keep_open = keep_open
        self.data = b""
        self.did: list[str] = []
        self._woken = asyncio.Event()
        self.transport: StdioTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, StdioTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Remember it."""
        self.data += data
        self._note("data")

    def eof_received(self) -> bool:
        """Remember it."""
        self._note("eof")
        return self.keep_open

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember it."""
        self._note(f"lost {type(exc).__name__}")

    def pause_writing(self) -> None:
        """Remember it."""
        self._note("pause")

    def resume_writing(self) -> None:
        """Remember it."""
        self._note("resume")

    def _note(self, what: str) -> None:
        self.did.append(what)
        self._woken.set()

    async def until(self, what: str) -> None:
        """Wait until something has happened."""
        async with asyncio.timeout(10):
            while what not in self.did:
                self._woken.clear()
                await self._woken.wait()


@pytest.fixture
def ends() -> Iterator[tuple[Pipes, int, int]]:
    """Serve the runner's pipes, and the ends its peer writes to and reads from."""
    stdin, to_runner = os.pipe()
    from_runner, stdout = os.pipe()
    yield Pipes(stdin, stdout), to_runner, from_runner
    for descriptor in (stdin, to_runner, from_runner):
        with suppress(OSError):  # the test may have closed it
            os.close(descriptor)


async def test_bytes_go_both_ways(ends: tuple[Pipes, int, int]) -> None:
    """What is written arrives, and closing writes what is queued before the end."""
    pipes, to_runner, from_runner = ends
    recorder = Recorder()
    listener = await listen_stdio(pipes, lambda: recorder)
    assert listener.address == "stdio"
    listener.close()
    os.write(to_runner, b"in")
    await recorder.until("data")
    assert recorder.data == b"in"
    assert recorder.transport is not None
    recorder.transport.write(b"out")
    recorder.transport.close()
    recorder.transport.write(b"never")
    await recorder.until("lost NoneType")
    assert os.read(from_runner, 100) == b"out"
    assert os.read(from_runner, 100) == b""
    os.close(to_runner)


@pytest.mark.parametrize("keep_open", [True, False])
async def test_the_end_of_the_input(keep_open: bool, ends: tuple[Pipes, int, int]) -> None:
    """It closes the connection unless the protocol wants to go on writing."""
    pipes, to_runner, from_runner = ends
    recorder = Recorder(keep_open=keep_open)
    await listen_stdio(pipes, lambda: recorder)
    os.close(to_runner)
    await recorder.until("eof")
    transport = recorder.transport
    assert transport is not None
    assert transport.is_closing() is not keep_open
    transport.write(b"answer")
    transport.close()
    await recorder.until("lost NoneType")
    assert os.read(from_runner, 100) == (b"answer" if keep_open else b"")


async def test_a_full_pipe_pauses_the_protocol(ends: tuple[Pipes, int, int]) -> None:
    """More than the high-water mark unwritten: pause; taken by the peer: resume. Nothing is lost."""
    pipes, to_runner, from_runner = ends
    recorder = Recorder()
    await listen_stdio(pipes, lambda: recorder)
    transport = recorder.transport
    assert transport is not None
    chunk = b"x" * 300_000
    for _ in range(5):
        transport.write(chunk)
    assert "pause" in recorder.did

    def read_all() -> int:
        size = 0
        while data := os.read(from_runner, 1 << 20):
            size += len(data)
        return size

    reading = asyncio.ensure_future(asyncio.to_thread(read_all))
    await recorder.until("resume")
    transport.close()
    assert await reading == 5 * len(chunk)
    os.close(to_runner)
    await recorder.until("lost NoneType")


async def test_a_peer_that_is_gone_ends_the_connection(ends: tuple[Pipes, int, int]) -> None:
    """Writing to a closed pipe is the end, told as such."""
    pipes, to_runner, from_runner = ends
    recorder = Recorder()
    await listen_stdio(pipes, lambda: recorder)
    os.close(from_runner)
    assert recorder.transport is not None
    recorder.transport.write(b"answer")
    await recorder.until("lost BrokenPipeError")
    os.close(to_runner)


async def test_reading_can_be_paused(ends: tuple[Pipes, int, int], tmp_path: Path) -> None:
    """While paused at most the chunk under way is delivered.

    Afterwards everything is. A file works like a pipe.
    """
    pipes, to_runner, _ = ends
    os.close(to_runner)
    path = tmp_path / "requests"
    path.write_bytes(b"x" * 1_000_000)
    descriptor = os.open(path, os.O_RDONLY)
    recorder = Recorder()
    await listen_stdio(Pipes(descriptor, pipes.writer), lambda: recorder)
    assert recorder.transport is not None
    recorder.transport.pause_reading()
    recorder.transport.resume_reading()
    await recorder.until("eof")
    assert len(recorder.data) == 1_000_000
    await recorder.until("lost NoneType")
    os.close(descriptor)
