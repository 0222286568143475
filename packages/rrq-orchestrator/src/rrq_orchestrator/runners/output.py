"""What runner processes print becomes log events; they are never kept waiting for it.

Each stream is read as fast as it comes, whatever becomes of the text (F78): lines are cut at a limit, and
what exceeds the rate is counted and dropped. The text is only ever a value under a fixed key, so that it
cannot pass for an event of ours (RELIABILITY.md S7).
"""

import asyncio
from collections import deque
from typing import Any, Final, Literal, TypeAlias

import msgspec
from structlog.typing import FilteringBoundLogger

__all__ = ["MAX_LINE_BYTES", "OutputLimits", "OutputRelay", "Stream"]

MAX_LINE_BYTES: Final = 64 * 1024
_TAIL_LINES: Final = 20
_TAIL_LINE_CHARS: Final = 500

Stream: TypeAlias = Literal["stdout", "stderr"]


class OutputLimits(msgspec.Struct, frozen=True):
    """How much of one stream is relayed. What exceeds a limit is dropped and counted."""

    line_bytes: int = MAX_LINE_BYTES
    lines_per_second: int = 1000
    bytes_per_second: int = 1024 * 1024


class OutputRelay(asyncio.Protocol):
    """Relay one stream of one process. The reading end of its pipe is to be connected to this protocol.

    Args:
        log: Bound to the fields of the process (runner, slot, pid).
        stream: Which stream it is.
        limits: See :class:`OutputLimits`.
        quiet: Relay below the usual level, for a runner that keeps failing with the same words.

    Attributes:
        closed: Set at the end of the stream.
    """

    def __init__(
        self,
        log: FilteringBoundLogger,
        stream: Stream,
        limits: OutputLimits | None = None,
        *,
        quiet: bool = False,
    ) -> None:
        self.closed = asyncio.Event()
        self._log = log.bind(stream=stream)
        self._relay = self._log.debug if quiet else self._log.info
        self._limits = limits or OutputLimits()
        self._transport: asyncio.BaseTransport | None = None
        self._line = bytearray()
        self._cut = False
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._window_end = 0.0
        self._lines_left = self._bytes_left = 0
        self._dropped_lines = self._dropped_bytes = 0

    @property
    def tail(self) -> list[str]:
        """The last lines, oldest first, shortened."""
        return list(self._tail)

    def close(self) -> None:
        """Stop reading, for a stream that somebody else keeps open (F79)."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Relay the lines that ``data`` completes."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._collect(data, start, end)
            self._finish_line()
            start = end + 1
        self._collect(data, start, len(data))

    def connection_lost(self, exc: Exception | None) -> None:
        """Relay what is left."""
        if self._line or self._cut:
            self._finish_line()
        self._report_dropped()
        self.closed.set()

    def _collect(self, data: bytes, start: int, end: int) -> None:
        room = self._limits.line_bytes - len(self._line)
        if end - start > room:
            self._cut = True
            end = start + room
        self._line += data[start:end]

    def _finish_line(self) -> None:
        raw, cut = bytes(self._line).removesuffix(b"\r"), self._cut
        self._line.clear()
        self._cut = False
        if not raw.strip():
            return
        if not self._within_rate(len(raw)):
            return
        text = raw.decode("utf-8", "replace")
        self._tail.append(text[:_TAIL_LINE_CHARS])
        fields = _fields(raw, text)
        if cut:
            fields["truncated"] = True
        self._relay("runner.output", **fields)

    def _within_rate(self, size: int) -> bool:
        now = asyncio.get_running_loop().time()
        if now >= self._window_end:
            self._report_dropped()
            self._window_end = now + 1.0
            self._lines_left, self._bytes_left = self._limits.lines_per_second, self._limits.bytes_per_second
        if self._lines_left <= 0 or self._bytes_left <= 0:
            self._dropped_lines += 1
            self._dropped_bytes += size
            return False
        self._lines_left -= 1
        self._bytes_left -= size
        return True

    def _report_dropped(self) -> None:
        if self._dropped_lines:
            self._log.warning("runner.output_dropped", lines=self._dropped_lines, bytes=self._dropped_bytes)
            self._dropped_lines = self._dropped_bytes = 0


def _fields(raw: bytes, text: str) -> dict[str, Any]:
    """Return the event's fields for one line: a JSON object nested under one key, anything else as text."""
    if raw.lstrip().startswith(b"{"):
        try:
            event = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {"line": text}
        return {"runner_event": event}
    return {"line": text}
