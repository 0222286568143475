"""stdin and stdout as a connection: one message per line.

Threads do the reading and writing. Any kind of file works that way, pipes as well as a file of requests given
by hand, and the descriptors stay in blocking mode: they may be shared with the shell that started us.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from rrq_runner.transports import SessionFactory

_CHUNK_BYTES = 256 * 1024
_HIGH_WATER_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Pipes:
    """The two descriptors that carry messages."""

    reader: int
    writer: int


def claim_stdio() -> Pipes:
    """Take stdin and stdout for messages alone, and return them.

    Afterwards whatever is printed, by handlers, C libraries or child processes, goes to stderr, and reading
    stdin gives nothing. To be called before any foreign code is imported.
    """
    sys.stdout.flush()
    pipes = Pipes(os.dup(0), os.dup(1))  # not inherited by child processes
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return pipes


class StdioTransport(asyncio.Transport):
    """What a session needs of a transport, on two descriptors. Closes them when it is closed."""

    def __init__(self, pipes: Pipes, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._pipes = pipes
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self._may_read = threading.Event()
        self._may_read.set()
        self._chunks: SimpleQueue[bytes | None] = SimpleQueue()
        self._unwritten_bytes = 0  # loop only
        self._paused = False
        threading.Thread(target=self._read, name="rrq-stdin", daemon=True).start()
        threading.Thread(target=self._write, name="rrq-stdout", daemon=True).start()
        protocol.connection_made(self)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """There is no socket to tell about."""
        return default

    def is_closing(self) -> bool:
        """Return True once nothing more is read or taken for writing."""
        return self._closing

    def pause_reading(self) -> None:
        """Read no further chunk; one that is being read is still delivered."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        """Read on."""
        self._may_read.set()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The limits are fixed."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Queue ``data``; tells the protocol to pause while too much is queued."""
        if self._closing:
            return
        self._unwritten_bytes += len(data)
        self._chunks.put(bytes(data))
        if self._unwritten_bytes > _HIGH_WATER_BYTES and not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def close(self) -> None:
        """Write what is queued, then close."""
        if not self._closing:
            self._closing = True
            self._chunks.put(None)

    def abort(self) -> None:
        """Close; what a blocked reader has not taken is lost when the process ends."""
        self.close()

    def _read(self) -> None:
        while True:
            self._may_read.wait()
            try:
                data = os.read(self._pipes.reader, _CHUNK_BYTES)
            except OSError:
                data = b""
            if not self._post(self._received, data) or not data:
                return

    def _received(self, data: bytes) -> None:
        if self._closing:
            return
        if data:
            self._protocol.data_received(data)
        elif not self._protocol.eof_received():
            self.close()

    def _write(self) -> None:
        failure: OSError | None = None
        while (chunk := self._chunks.get()) is not None:
            view = memoryview(chunk)
            try:
                while view:
                    view = view[os.write(self._pipes.writer, view) :]
            except OSError as error:
                failure = error  # the reader is gone; drain the queue until somebody closes us
                break
            self._post(self._wrote, len(chunk))
        self._post(self._lost, failure)

    def _wrote(self, size: int) -> None:
        self._unwritten_bytes -= size
        if self._paused and self._unwritten_bytes <= _HIGH_WATER_BYTES // 4:
            self._paused = False
            self._protocol.resume_writing()

    def _lost(self, failure: OSError | None) -> None:
        self._closing = True
        # The reading end stays open: its thread may be blocked in it, and the number must not be given to
        # another file.
        os.close(self._pipes.writer)
        self._protocol.connection_lost(failure)

    def _post(self, call: Callable[[Any], None], value: Any) -> bool:
        try:
            self._loop.call_soon_threadsafe(call, value)
        except RuntimeError:
            return False  # the loop is closed
        return True


class StdioListener:
    """The one connection there is."""

    def __init__(self, transport: StdioTransport) -> None:
        self._transport = transport

    @property
    def address(self) -> str:
        """A word for logs."""
        return "stdio"

    def close(self) -> None:
        """No further connection can come; the one there is goes on."""


async def listen_stdio(pipes: Pipes, factory: SessionFactory) -> StdioListener:
    """Begin to read messages from ``pipes``."""
    return StdioListener(StdioTransport(pipes, factory()))
