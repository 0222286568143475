"""Connecting waits for the runner, stops with it, and refuses strangers."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import anyio
import pytest

from rrq_orchestrator.runners.dial import dial
from rrq_orchestrator.runners.process import RunnerProcess, StartFailed, start_process
from rrq_orchestrator.runners.termination import kill
from rrq_protocol import TcpEndpoint, UnixEndpoint
from support.runner_pools import PATIENCE_S

pytestmark = pytest.mark.anyio


class Connected(asyncio.Protocol):
    """Says that it is connected."""

    def __init__(self) -> None:
        self.transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport


async def sleeper() -> RunnerProcess:
    """Start a process that does nothing."""
    process = start_process(
        [sys.executable, "-S", "-c", "import time; time.sleep(600)"], lambda _: dict(os.environ)
    )
    await process.identified()
    return process


def listening(path: Path) -> socket.socket:
    """Return a socket that listens there."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


async def test_it_waits_until_somebody_listens(tmp_path: Path) -> None:
    """The connection is made once the socket is there."""
    path, protocol = tmp_path / "s", Connected()
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(dial, UnixEndpoint(str(path)), lambda: protocol, None)
            await anyio.sleep(0.03)
            assert protocol.transport is None
            listener = listening(path)
    assert protocol.transport is not None
    protocol.transport.close()
    listener.close()


async def test_it_tries_once_if_told_so(tmp_path: Path) -> None:
    """Without patience the first refusal is the answer, with the address."""
    with pytest.raises(StartFailed, match=r"cannot connect to .*/s: "):
        await dial(UnixEndpoint(str(tmp_path / "s")), Connected, None, patient=False)


async def test_it_stops_when_the_process_ends(tmp_path: Path) -> None:
    """A process that ends before it listens is the answer, with how it ended."""
    process = start_process([sys.executable, "-S", "-c", "raise SystemExit(4)"], lambda _: dict(os.environ))
    with anyio.fail_after(PATIENCE_S), pytest.raises(StartFailed, match="code 4 before it listened"):
        await dial(UnixEndpoint(str(tmp_path / "s")), Connected, process)
    process.close()


async def test_a_port_served_by_another_program_gets_nothing() -> None:
    """With a process of ours alive, a listener that is not its own is refused before anything is sent
    (F80)."""
    process, protocol = await sleeper(), Connected()
    try:
        with socket.create_server(("127.0.0.1", 0)) as stranger:
            port = stranger.getsockname()[1]
            with anyio.fail_after(PATIENCE_S), pytest.raises(StartFailed, match="another program listens"):
                await dial(TcpEndpoint("127.0.0.1", port), lambda: protocol, process)
            assert protocol.transport is None
            other = Connected()
            await dial(TcpEndpoint("127.0.0.1", port), lambda: other, None)
            assert other.transport is not None
            other.transport.close()
    finally:
        await kill(process)
        process.close()


async def test_the_socket_file_of_our_process_is_made_private(tmp_path: Path) -> None:
    """A runner that creates its socket for everyone gets it closed to others (S1)."""
    process, protocol, path = await sleeper(), Connected(), tmp_path / "s"
    try:
        with listening(path):
            path.chmod(0o777)
            await dial(UnixEndpoint(str(path)), lambda: protocol, process)
            assert path.stat().st_mode & 0o777 == 0o600
            assert protocol.transport is not None
            protocol.transport.close()
    finally:
        await kill(process)
        process.close()
