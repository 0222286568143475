"""The orchestrator's end of one connection, at the level of bytes: what a check says is sent as it stands,
and what comes is kept as it came.
"""

import asyncio
from collections import deque
from typing import Any, Final, cast

from rrq_orchestrator.conformance.verdict import Finding
from rrq_protocol import FrameDecoder, LineDecoder, ProtocolError

__all__ = ["KEPT_BYTES", "Link"]

KEPT_BYTES: Final = 512
"""How much of each direction is kept for the report."""


class Link(asyncio.Protocol):
    """See the module.

    Args:
        stdio: Whether messages are lines.

    Attributes:
        sent, received: The last bytes of each direction.
        ended: Whether the runner closed the connection, or we did.
    """

    def __init__(self, *, stdio: bool) -> None:
        self.stdio = stdio
        self.sent = self.received = b""
        self.ended = False
        self._decoder: FrameDecoder | LineDecoder = LineDecoder() if stdio else FrameDecoder()
        self._bodies: deque[bytes] = deque()
        self._violation: str | None = None
        self._changed = asyncio.Event()
        self._reader: asyncio.BaseTransport | None = None
        self._writer: asyncio.WriteTransport | None = None

    # Saying.

    def framed(self, body: bytes) -> bytes:
        """Return a body as this connection frames it, whatever it holds."""
        return body + b"\n" if self.stdio else len(body).to_bytes(4, "big") + body

    def send(self, data: bytes) -> None:
        """Send bytes as they stand. Without effect on a connection that is over."""
        self.sent = (self.sent + data[-KEPT_BYTES:])[-KEPT_BYTES:]
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(data)

    def send_body(self, body: bytes) -> None:
        """Send one body in a frame."""
        self.send(self.framed(body))

    def close_writing(self) -> None:
        """Let the runner read end-of-file."""
        if self._writer is not None:
            self._writer.close()

    def close(self) -> None:
        """Close the connection."""
        self.ended = True
        for transport in (self._writer, self._reader):
            if transport is not None and not transport.is_closing():
                transport.close()

    # Hearing.

    async def body(self, within_s: float) -> bytes | None:
        """Return the next body, None at the end of the connection.

        Raises:
            Finding: Nothing came in time, or what came breaks the framing.
        """
        try:
            async with asyncio.timeout(within_s):
                while not self._bodies:
                    if self._violation is not None:
                        raise Finding(
                            f"expected a frame, got bytes that break the framing: {self._violation}"
                        )
                    if self.ended:
                        return None
                    await self._changed.wait()
                    self._changed.clear()
        except TimeoutError:
            raise Finding(f"expected a message, nothing came within {within_s:g} s") from None
        return self._bodies.popleft()

    async def closed(self, within_s: float) -> bool:
        """Wait for the end of the connection. Return False if it does not come in time."""
        try:
            async with asyncio.timeout(within_s):
                while not self.ended:
                    await self._changed.wait()
                    self._changed.clear()
        except TimeoutError:
            return False
        return True

    # What the transports tell.

    def write_to(self, transport: asyncio.WriteTransport) -> None:
        """Use another transport than the reading one for writing."""
        self._writer = transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; a socket's is for writing, too."""
        self._reader = transport
        if not self.stdio:
            self._writer = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Keep what came, and cut it into bodies."""
        self.received = (self.received + data)[-KEPT_BYTES:]
        try:
            self._bodies.extend(self._decoder.feed(data))
        except ProtocolError as error:
            completed: Any = error.completed
            self._bodies.extend(completed)
            self._violation = str(error)
        self._changed.set()

    def eof_received(self) -> None:
        """The runner says no more."""
        self.ended = True
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self.ended = True
        self._changed.set()
