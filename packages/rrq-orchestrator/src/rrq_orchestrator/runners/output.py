"""What runner processes print becomes log events; they are never kept waiting for it.

Each stream is read as fast as it comes, whatever becomes of the text (F78): a line longer than a limit, or
unfinished for a second, is relayed in pieces, all but the last marked ``truncated``; what exceeds the rate is
counted and dropped. The text is only ever a value under a fixed key, so that it
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

_UNFINISHED_S: Final = 1.0
_WINDOW_S: Final = 1.0

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
        event: What a line is called.
        key: Where a line that is a JSON object stands in it.

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
        event: str = "runner.output",
        key: str = "runner_event",
    ) -> None:
        self._event, self._key = event, key
        self.closed = asyncio.Event()
        self._log = log.bind(stream=stream)
        self._relay = self._log.debug if quiet else self._log.info
        self._limits = limits or OutputLimits()
        self._transport: asyncio.BaseTransport | None = None
        self._line = bytearray()
        self._unfinished: asyncio.TimerHandle | None = None
        self._telling: asyncio.TimerHandle | None = None
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
        if self._line and self._unfinished is None:
            self._unfinished = asyncio.get_running_loop().call_later(_UNFINISHED_S, self._relay_unfinished)

    def connection_lost(self, exc: Exception | None) -> None:
        """Relay what is left."""
        self._finish_line()
        self._report_dropped()
        self.closed.set()

    def _collect(self, data: bytes, start: int, end: int) -> None:
        while end - start > (room := self._limits.line_bytes - len(self._line)):
            self._line += data[start : start + room]
            start += room
            self._relay_piece()
        self._line += data[start:end]

    def _finish_line(self) -> None:
        if self._unfinished is not None:
            self._unfinished.cancel()
            self._unfinished = None
        raw = bytes(self._line).removesuffix(b"\r")
        self._line.clear()
        self._relay_text(raw)

    def _relay_unfinished(self) -> None:
        self._unfinished = None
        self._relay_piece()

    def _relay_piece(self) -> None:
        """Relay what there is of a line that goes on, but for the beginning of a character."""
        end = _whole_characters(self._line)
        raw = bytes(self._line[:end])
        del self._line[:end]
        self._relay_text(raw, cut=True)

    def _relay_text(self, raw: bytes, *, cut: bool = False) -> None:
        if not raw.strip():
            return
        if not self._within_rate(len(raw)):
            return
        text = raw.decode("utf-8", "replace")
        self._tail.append(text[:_TAIL_LINE_CHARS])
        fields = _fields(raw, text, self._key)
        if cut:
            fields["truncated"] = True
        self._relay(self._event, **fields)

    def _within_rate(self, size: int) -> bool:
        now = asyncio.get_running_loop().time()
        if now >= self._window_end:
            self._report_dropped()
            self._window_end = now + _WINDOW_S
            self._lines_left, self._bytes_left = self._limits.lines_per_second, self._limits.bytes_per_second
        if self._lines_left <= 0 or self._bytes_left <= 0:
            self._dropped_lines += 1
            self._dropped_bytes += size
            if self._telling is None:
                self._telling = asyncio.get_running_loop().call_at(self._window_end, self._report_dropped)
            return False
        self._lines_left -= 1
        self._bytes_left -= size
        return True

    def _report_dropped(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        if self._dropped_lines:
            dropped = {"lines": self._dropped_lines, "bytes": self._dropped_bytes}
            self._log.warning(f"{self._event}_dropped", **dropped)
            self._dropped_lines = self._dropped_bytes = 0


def _whole_characters(text: bytearray) -> int:
    """Return where the last character that UTF-8 does not show complete begins; the length if there is none,
    or nothing else."""
    for back in range(1, min(4, len(text))):
        byte = text[-back]
        if byte >= 0xC0:
            complete = back >= (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4)
            return len(text) if complete else len(text) - back
        if byte < 0x80:
            break
    return len(text)


def _fields(raw: bytes, text: str, key: str) -> dict[str, Any]:
    """Return the event's fields for one line: a JSON object nested under one key, anything else as text."""
    if raw.lstrip().startswith(b"{"):
        try:
            event = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {"line": text}
        return {key: event}
    return {"line": text}
