"""One connection to one runner process: bytes in and out around the protocol's state machine, and its
deadlines.

The hot path of the orchestrator (PERFORMANCE.md): no task and no future per request. Frames written in one
turn of the event loop leave in one write. What waits to be written is bounded by the requests in flight; a
peer that stops reading, or that sends a frame drop by drop, runs into a deadline (F59, F61).
"""

import asyncio
from collections.abc import Mapping
from typing import Final, Literal, cast

from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.log_text import cut, escape
from rrq_orchestrator.runners.base import LostCause
from rrq_orchestrator.runners.channel_owner import ChannelLimits, ChannelOwner
from rrq_orchestrator.runners.pulse import Pulse
from rrq_orchestrator.runners.watchdog import Watchdog
from rrq_protocol import (
    BadMessage,
    HelloReceived,
    OrchestratorConnection,
    OutcomeReceived,
    ProtocolError,
    StrayResponse,
    WireRequest,
)
from rrq_protocol.testing import reach

__all__ = ["Channel", "ChannelLimits", "ChannelOwner"]

_SHOWN_CHARS: Final = 200
_LAST_WORDS_S: Final = 0.5
"""Time in which what a stdio runner said before its end is still read."""


class Channel(asyncio.Protocol):
    """The orchestrator's side of a connection. Connect a socket, or a stdout pipe and then :meth:`write_to`
    stdin.

    Args:
        owner: Is told what happens.
        log: Bound to the fields of the process.
        framing: ``"length"`` on sockets, ``"line"`` on stdio.
        limits: See :class:`ChannelLimits`.
        version: The protocol's version the runner speaks.

    Attributes:
        outstanding: Job id by request id, of the requests without a response. Live, oldest first.
        ended: Whether the connection is over.
        proven: Whether the peer ever sent a valid message, or a wrong answer to a request of ours.
    """

    def __init__(
        self,
        owner: ChannelOwner,
        log: FilteringBoundLogger,
        framing: Literal["length", "line"] = "length",
        limits: ChannelLimits | None = None,
        version: Literal["1", "2"] = "2",
    ) -> None:
        self._owner = owner
        self._log = log
        self._framing = framing
        self._limits = limits or ChannelLimits()
        self._connection = OrchestratorConnection(framing, version=version)
        self.outstanding: Mapping[str, str] = self._connection.outstanding
        self.ended = self.proven = False
        self._loop = asyncio.get_running_loop()
        self._reader: asyncio.BaseTransport | None = None
        self._writer: asyncio.WriteTransport | None = None
        self._out: list[bytes] = []
        self._written = 0
        self._write_mark = 0
        self._write_deadline = Watchdog(self._limits.write_s, self._write_overdue)
        self._frames = 0
        self._frame_mark = 0
        self._frame_deadline = Watchdog(self._limits.frame_s, self._frame_overdue)
        self._sent_at: dict[str, float] | None = None
        if self._limits.response_s is not None:
            self._sent_at = {}
            self._response_deadline = Watchdog(self._limits.response_s, self._response_overdue)
        self._bad_in_a_row = 0
        self._pulse: Pulse | None = None
        self._pings = 0

    # Sending.

    def request(self, request: WireRequest) -> None:
        """Send a request with the others of this loop turn.

        Raises:
            FrameTooLarge: It is over the limit and was not sent.
            NotSerialisable: A text in it holds a lone surrogate; it was not sent.
            ProtocolError: Its id is in use, or the connection is over.
        """
        self._send(self._connection.request(request))
        if self._sent_at is not None:
            self._sent_at[request.request_id] = self._loop.time()
            self._response_deadline.arm()
        if self._pulse is not None:
            self._pulse.expect()

    def cancel(self, request_id: str, job_id: str, hard: bool) -> None:
        """Ask for an early response; nothing happens if the request or the connection is over."""
        if not self.ended and (data := self._connection.cancel(request_id, job_id, hard)):
            self._send(data)
            if self._pulse is not None:
                # Whoever cancels may have to decide soon whether the peer does anything at all.
                self._pulse.ask()

    def feel_pulse(self) -> None:
        """From now on ping the peer while it is quiet and holds requests: it takes part."""
        limits = self._limits
        if limits.silent_s and self._pulse is None:
            self._pulse = Pulse(
                limits.quiet_s,
                limits.silent_s,
                wanted=lambda: bool(self.outstanding),
                ask=self._ping,
                silent=self._owner.silent,
                heard=self._owner.heard,
            )
            self._pulse.expect()

    @property
    def in_doubt(self) -> bool:
        """Whether the peer was asked for a sign of life and owes it."""
        return self._pulse is not None and self._pulse.in_doubt

    def _ping(self) -> None:
        self._pings += 1
        self._send(self._connection.ping(self._pings))

    def abandon(self, request_id: str) -> None:
        """Stop waiting for a response."""
        if self._connection.abandon(request_id) and self._sent_at is not None:
            self._sent_at.pop(request_id, None)

    @property
    def connected(self) -> bool:
        """Whether there was a connection, ended or not."""
        return self._reader is not None

    def close(self) -> tuple[str, ...]:
        """End the connection from our side, silently. Return the requests that have no response. Safe to
        repeat."""
        self.ended = True
        self._write_deadline.disarm()
        self._frame_deadline.disarm()
        if self._sent_at is not None:
            self._sent_at.clear()
            self._response_deadline.disarm()
        self._out.clear()
        self._stop_pulse()
        self._abort()
        if self._reader is not None and self._reader is not self._writer:
            self._reader.close()
        return self._connection.close()

    def _abort(self) -> None:
        # Pipe transports do not bear a second abort.
        if self._writer is not None and not self._writer.is_closing():
            self._writer.abort()

    def write_to(self, transport: asyncio.WriteTransport) -> None:
        """Use another transport than the reading one for writing. Its protocol is to be
        :meth:`writing_side`."""
        self._writer = transport
        # 0: we are told at once when the peer does not take everything, and when it has.
        transport.set_write_buffer_limits(high=0)

    def writing_side(self) -> asyncio.BaseProtocol:
        """Return the protocol for the transport of :meth:`write_to`."""
        return _WritingSide(self)

    def _send(self, data: bytes) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        out = self._out
        if not out or self._writer is None:
            return
        self._out = []
        if self._writer.is_closing():
            # Lost a moment ago: uvloop raises at such a write. The requests stay without an answer.
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        self._written += len(data)
        if reach is not None:
            reach("frames.before")
        self._writer.write(data)
        if reach is not None:
            reach("frames.after")

    def pause_writing(self) -> None:
        """The peer did not take everything at once: its deadline runs."""
        self._write_mark = self._written
        self._write_deadline.arm()

    def resume_writing(self) -> None:
        """The peer has taken everything."""
        self._write_deadline.disarm()

    def writing_lost(self) -> None:
        """The peer reads no more. It may still have answers for us on the way."""
        if not self.ended:
            self._loop.call_later(_LAST_WORDS_S, self._fail, LostCause.CRASHED, "closed its stdin")

    def _write_overdue(self) -> bool:
        assert self._writer is not None
        taken = self._written - self._writer.get_write_buffer_size()
        if taken >= self._write_mark:
            self._write_mark = self._written
            return True
        waiting = self._written - taken
        self._fail(LostCause.PROTOCOL, f"does not read: {waiting} bytes waited {self._limits.write_s:g} s")
        return False

    # Receiving.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; a socket's is for writing, too."""
        self._reader = transport
        if self._framing == "length":
            self.write_to(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        """Handle what the peer sent."""
        if self.ended:
            return
        if self._pulse is not None:
            self._pulse.sign()
        if reach is not None:
            reach("response.before")
        violation: ProtocolError | None = None
        try:
            events = self._connection.receive(data)
        except ProtocolError as error:
            events, violation = list(error.completed), error
        # To the last, even if one of them ends the connection: what was answered is not outstanding any more.
        for event in events:
            if not self.proven:
                self._look_for_proof(event)
            if type(event) is OutcomeReceived:
                outcome = event.outcome
                if self._sent_at is not None and outcome.request_id is not None:
                    self._sent_at.pop(outcome.request_id, None)
                if self._bad_in_a_row:
                    self._bad_in_a_row = 0
                self._owner.answered(outcome)
            else:
                self._unusual(event)
        self._frames += len(events)
        if reach is not None:
            reach("response.after")
        if violation is not None:
            self._fail(LostCause.PROTOCOL, f"broke the protocol: {violation}")
        elif self._connection.pending_bytes or self._frame_deadline.armed:
            self._watch_frame()

    def _look_for_proof(self, event: object) -> None:
        if not isinstance(event, BadMessage) or (event.request_id in self.outstanding and not event.echoed):
            self.proven = True
            self._owner.proved()

    def _watch_frame(self) -> None:
        if not self._connection.pending_bytes or self.ended:
            self._frame_deadline.disarm()
        elif not self._frame_deadline.armed:
            self._frame_mark = self._frames
            self._frame_deadline.arm()

    def eof_received(self) -> None:
        """The peer sends no more: the connection is over, a runner that only half closes makes no sense."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        if self.ended:
            return
        if pending := self._connection.pending_bytes:
            detail = f"closed its connection in the middle of a message ({pending} bytes of it came)"
        else:
            detail = "closed its connection" if exc is None else f"lost its connection: {exc}"
        self._fail(LostCause.CRASHED, detail)

    def _unusual(self, event: object) -> None:
        if isinstance(event, HelloReceived):
            self._owner.greeted(event.hello)
        elif isinstance(event, StrayResponse):
            strays = self._connection.strays_in_a_row
            self._log.debug("runner.stray_response", request_id=event.request_id, in_a_row=strays)
            if strays >= self._limits.strays:
                self._fail(LostCause.PROTOCOL, f"sent {strays} responses in a row that nobody waits for")
        elif isinstance(event, BadMessage):
            self._bad_message(event)

    def _bad_message(self, event: BadMessage) -> None:
        self._bad_in_a_row += 1
        if self._bad_in_a_row <= 3 or self._bad_in_a_row % 100 == 0:
            said = {"line": _shown(event.beginning)} if event.beginning else {}
            self._log.warning("runner.bad_message", problem=event.problem, count=self._bad_in_a_row, **said)
        if event.echoed and not self.proven and self._framing == "length":
            # No runner, and so no request of ours has an answer: all of them are lost with the connection.
            self._fail(LostCause.PROTOCOL, "sends back what it is sent")
        elif event.request_id is not None and event.request_id in self.outstanding:
            self.abandon(event.request_id)
            self._owner.unanswerable(event.request_id, f"broke the protocol: {event.problem}")
        elif self._framing == "length" and self._bad_in_a_row >= self._limits.strays:
            # On stdio a print() of the handler's is such a message, and no reason to end anything.
            self._fail(LostCause.PROTOCOL, f"sent {self._bad_in_a_row} messages that cannot be understood")

    def _frame_overdue(self) -> bool:
        if self._frames != self._frame_mark:
            self._frame_mark = self._frames
            return True
        self._fail(LostCause.PROTOCOL, f"did not complete a message within {self._limits.frame_s:g} s")
        return False

    def _response_overdue(self) -> bool:
        limit = self._limits.response_s
        if not self._sent_at or limit is None:
            return False
        request_id, sent_at = next(iter(self._sent_at.items()))
        remaining = sent_at + limit - self._loop.time()
        if remaining > 0:
            self._response_deadline.arm(remaining)
        else:
            self._owner.overdue(request_id, f"did not answer within {limit:g} s (`response_timeout_seconds`)")
        return False

    def _stop_pulse(self) -> None:
        if self._pulse is not None:
            self._pulse.stop()

    def _fail(self, cause: LostCause, detail: str) -> None:
        """End the connection because of the peer. What is outstanding stays so, for the owner's
        :meth:`close`."""
        if self.ended:
            return
        self.ended = True
        self._write_deadline.disarm()
        self._frame_deadline.disarm()
        self._stop_pulse()
        self._abort()
        self._owner.ended(cause, detail)


def _shown(beginning: bytes) -> str:
    return cut(escape(beginning.decode("utf-8", "backslashreplace")), _SHOWN_CHARS)


class _WritingSide(asyncio.BaseProtocol):
    """Passes on what the transport of a stdin pipe tells."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def pause_writing(self) -> None:
        self._channel.pause_writing()

    def resume_writing(self) -> None:
        self._channel.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._channel.writing_lost()
