"""One connection to an orchestrator: bytes in, executions, bytes out."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

import msgspec

from rrq_protocol import (
    CancelRequested,
    ErrorType,
    ExecutionError,
    ExecutionOutcome,
    ExecutionRequest,
    ExecutionRequested,
    Hello,
    OutcomeStatus,
    Pinged,
    ProtocolError,
    RunnerConnection,
)
from rrq_protocol.testing import reach
from rrq_runner.engine import Engine
from rrq_runner.execution import Execution, given_back
from rrq_runner.failures import bounded_message, describe, type_name
from rrq_runner.transports import Admit
from rrq_runner.transports.refusals import Refusals

_log = logging.getLogger("rrq_runner")

_WRITE_HIGH_WATER_BYTES = 256 * 1024


class Session(asyncio.Protocol):
    """Feeds what it reads to a :class:`RunnerConnection` and writes what comes of it.

    Responses gather until the end of the loop's turn and leave in one write. While the peer does not take
    them, no further request is read, so a peer that never reads costs bounded memory (F59).

    Args:
        engine: Runs the handlers.
        connection: The protocol's state for this stream.
        hello: Sent first, where the orchestrator offered that extension.
        admit: Says whom to refuse.
        refusals: Where it is told who was.
        on_end: Called when the connection is over.
        on_eof: If given, the end of the input does not end the connection: this is called and answers are
            still written.
    """

    def __init__(
        self,
        engine: Engine,
        connection: RunnerConnection,
        *,
        hello: Hello | None = None,
        admit: Admit | None = None,
        refusals: Refusals | None = None,
        on_end: Callable[["Session"], None] | None = None,
        on_eof: Callable[[], None] | None = None,
    ) -> None:
        self._engine = engine
        self._connection = connection
        self._hello = hello
        self._admit = admit
        self._refusals = refusals or Refusals()
        self._on_end = on_end
        self._on_eof = on_eof
        self._transport: asyncio.Transport | None = None
        self._executions: dict[str, Execution] = {}
        self._out: list[bytes] = []
        self._flush_due = False
        self.draining = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuse strangers, introduce the runner."""
        stream = cast("asyncio.Transport", transport)
        problem = self._admit(transport) if self._admit is not None else None
        if problem is not None:
            self._refusals.tell(problem)
            stream.abort()
            return
        self._transport = stream
        stream.set_write_buffer_limits(high=_WRITE_HIGH_WATER_BYTES)
        if self._hello is not None:
            stream.write(self._connection.hello(self._hello))

    def data_received(self, data: bytes) -> None:
        """Begin what was asked for; what is over by the end leaves in one write."""
        if self._transport is None or self._transport.is_closing():
            return  # a peer that was refused, or that broke the protocol
        if reach is not None:
            reach("request.before")
        try:
            events = self._connection.receive(data)
        except ProtocolError as error:
            # Nothing can be answered on a broken stream, so what came whole before the violation is not begun
            # either.
            _log.warning("runner.protocol_error", extra={"problem": str(error)})
            self._transport.abort()
            return
        self._flush_due = True
        for event in events:
            if isinstance(event, ExecutionRequested):
                self._execute(event.request)
            elif isinstance(event, CancelRequested):
                self._cancel(event)
            elif isinstance(event, Pinged):
                self._out.append(event.reply)
            else:
                _log.warning(
                    "runner.message_rejected", extra={"problem": event.problem, "job_id": event.job_id}
                )
                self._out.append(event.reply)
        self._flush()
        if reach is not None:
            reach("request.after")

    def eof_received(self) -> bool:
        """A socket's peer is gone with everything it asked for.

        On stdio the end of the input only means no more.
        """
        if self._on_eof is None:
            return False
        self._on_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop what nobody waits for any more."""
        was_open, self._transport = self._transport is not None, None
        self._connection.close()
        if was_open and exc is not None:
            _log.info("runner.connection_lost", extra={"problem": str(exc)})
        for execution in tuple(self._executions.values()):
            execution.cancel("cancelled")
        self._executions.clear()
        if self._on_end is not None:
            self._on_end(self)

    def pause_writing(self) -> None:
        """The peer is slow: take no further requests."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Write what is ready, then close."""
        if self._transport is not None:
            self._flush()
            self._transport.close()

    def abort(self) -> None:
        """Close without waiting for the peer to read."""
        if self._transport is not None:
            self._transport.abort()

    def _execute(self, request: ExecutionRequest) -> None:
        if self.draining:
            self._deliver(given_back(request))
            return
        execution = self._engine.start(request, self._deliver)
        if execution is not None:
            self._executions[request.request_id] = execution

    def _cancel(self, event: CancelRequested) -> None:
        for request_id in event.request_ids:
            execution = self._executions.get(request_id)
            if execution is not None:
                execution.cancel("cancelled", at_once=event.cancel.hard_kill)

    def _deliver(self, outcome: ExecutionOutcome) -> None:
        request_id: Any = outcome.request_id
        self._executions.pop(request_id, None)
        if self._transport is None:
            return
        self._out.append(self._response(outcome))
        if not self._flush_due:
            self._flush_due = True
            self._engine.loop.call_soon(self._flush)

    def _response(self, outcome: ExecutionOutcome) -> bytes:
        try:
            return self._connection.respond(outcome)
        except ProtocolError:
            return b""  # the stream broke meanwhile
        except BaseException as error:  # noqa: BLE001 - a value's own code, or one that is still being changed
            described = ExecutionError(
                bounded_message(f"the result cannot be sent: {type_name(error)}: {describe(error).message}"),
                ErrorType.RESULT_NOT_SERIALISABLE,
            )
            failed = msgspec.structs.replace(
                outcome, status=OutcomeStatus.ERROR, result=None, error=described
            )
            return self._connection.respond(failed)

    def _flush(self) -> None:
        self._flush_due = False
        if self._out and self._transport is not None:
            if reach is not None:
                reach("answers.before")
            self._transport.write(b"".join(self._out))
            if reach is not None:
                reach("answers.after")
        self._out.clear()
