"""Reach a runner that may not listen yet, and make sure that it is the right one before anything is said."""

import asyncio
import os
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import anyio

from rrq_orchestrator.runners.listeners import is_foreign_listener, whose_listener
from rrq_orchestrator.runners.nonce import Nonce, WrongProof
from rrq_orchestrator.runners.process import RunnerProcess, StartFailed, exit_text
from rrq_protocol import TcpEndpoint, UnixEndpoint

__all__ = ["dial"]

_FIRST_PAUSE_S: Final = 0.005
_LONGEST_PAUSE_S: Final = 0.05
_PAUSE_GROWTH: Final = 1.5
_CONNECT_S: Final = 5.0
_OWN_WRONG_PROOF: Final = (
    "it took its nonce and its proof is wrong: expected HMAC-SHA256 of 'rrq runner' under the nonce, before "
    "anything else (docs/protocol.md, over TCP); correct the runner, or let it leave the nonce alone"
)


async def dial(
    endpoint: UnixEndpoint | TcpEndpoint,
    protocol: Callable[[], asyncio.BaseProtocol],
    process: RunnerProcess | None,
    *,
    patient: bool = True,
    nonce: Nonce | None = None,
) -> None:
    """Connect ``protocol`` to a listening runner, waiting for it to listen. Cancel to set a limit.

    Args:
        endpoint: Where it listens, or will.
        protocol: Makes the protocol of the connection.
        process: The process that is to listen there; None if it is not ours.
        patient: Whether to try until cancelled; else once.
        nonce: What the process was given to know us by, on TCP.

    Raises:
        StartFailed: The process ended, or another program answers in its place.
    """
    pause = _FIRST_PAUSE_S
    while True:
        try:
            await _connect(endpoint, protocol, process, nonce)
            return
        except (OSError, TimeoutError) as error:
            if not patient:
                raise StartFailed(f"cannot connect to {endpoint}: {error}") from error
        if process is None:
            await anyio.sleep(pause)
        else:
            with anyio.move_on_after(pause):
                await process.exited.wait()
            if process.exited.is_set():
                raise StartFailed(f"{exit_text(process.returncode or 0)} before it listened")
        pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE_S)


async def _connect(
    endpoint: UnixEndpoint | TcpEndpoint,
    protocol: Callable[[], asyncio.BaseProtocol],
    process: RunnerProcess | None,
    nonce: Nonce | None,
) -> None:
    loop = asyncio.get_running_loop()
    if isinstance(endpoint, UnixEndpoint):
        family: int = socket.AF_UNIX
        address: tuple[Any, ...] | str = endpoint.path
    else:
        found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
        family, address = found[0][0], found[0][4]
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        async with asyncio.timeout(_CONNECT_S):
            await loop.sock_connect(connection, address)
        if isinstance(endpoint, UnixEndpoint):
            _check_unix_peer(connection, endpoint, process)
            await loop.create_unix_connection(protocol, sock=connection)
        else:
            if connection.getsockname() == connection.getpeername():
                # A port of the ephemeral range nobody listens on yet can be connected to itself.
                raise ConnectionRefusedError("connected to itself")
            if process is not None and is_foreign_listener(endpoint.port, process.pid):
                raise StartFailed(f"another program listens on {endpoint}; end it, or change `tcp_port`")
            if nonce is not None and nonce.taken:
                await _exchange(nonce, connection, endpoint, process)
            await loop.create_connection(protocol, sock=connection)
    except BaseException:
        connection.close()
        raise


async def _exchange(
    nonce: Nonce, connection: socket.socket, endpoint: TcpEndpoint, process: RunnerProcess | None
) -> None:
    try:
        async with asyncio.timeout(_CONNECT_S):
            await nonce.exchange(connection)
    except WrongProof as error:
        if process is not None and whose_listener(endpoint.port, process.pid) == "own":
            raise StartFailed(_OWN_WRONG_PROOF) from error
        raise


def _check_unix_peer(
    connection: socket.socket, endpoint: UnixEndpoint, process: RunnerProcess | None
) -> None:
    """Refuse a listener of another user (RELIABILITY.md S1), and make the socket's file private."""
    if sys.platform.startswith("linux"):
        size = struct.calcsize("3i")
        _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
        if uid not in (os.geteuid(), 0):
            raise StartFailed(
                f"the socket {endpoint} is served by user {uid}, not by ours; nothing was sent to it"
            )
    if process is not None:
        Path(endpoint.path).chmod(0o600)
