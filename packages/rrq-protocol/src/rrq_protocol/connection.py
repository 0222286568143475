"""Both ends of a runner connection, without I/O: feed bytes, take events, get bytes to send.

The theory of operation and the tables both ends follow are in :mod:`rrq_protocol._connection_machine`.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import msgspec

from rrq_protocol._connection_machine import CONNECTION, REQUEST, Connection
from rrq_protocol._replacement import ERROR_TEXT_CHARS, replacement
from rrq_protocol.connection_events import (
    BadMessage,
    CancelRequested,
    ExecutionRequested,
    HelloReceived,
    OrchestratorEvent,
    OutcomeReceived,
    Pinged,
    PongReceived,
    Rejected,
    RunnerEvent,
    StrayResponse,
)
from rrq_protocol.errors import FrameTooLarge, InvalidMessage, NotSerialisable, ProtocolError, shown
from rrq_protocol.frames import (
    ENVELOPE_DEPTH,
    MAX_FRAME_BYTES,
    Framing,
    encode_body,
    invalid_message,
)
from rrq_protocol.messages import (
    PROTOCOL_VERSION,
    CancelMessage,
    CancelRequest,
    ErrorType,
    ExecutionError,
    ExecutionOutcome,
    ExecutionRequest,
    Hello,
    HelloMessage,
    OutcomeStatus,
    Ping,
    PingMessage,
    PongMessage,
    RequestMessage,
    ResponseMessage,
    WireOutcome,
    WireRequest,
    WireRequestMessage,
    WireResponseMessage,
)
from rrq_protocol.strict_json import (
    DECODE_ERRORS,
    ENCODE_ERRORS,
    MAX_DEPTH,
    check_text,
    exceeds_depth,
    not_serialisable,
)
from rrq_protocol.version_one import VERSION_ONE, bare_outcome, encode_request, modern_request

__all__ = [
    "BadMessage",
    "CONNECTION",
    "CancelRequested",
    "ExecutionRequested",
    "HelloReceived",
    "OrchestratorConnection",
    "OrchestratorEvent",
    "OutcomeReceived",
    "Pinged",
    "PongReceived",
    "REQUEST",
    "Rejected",
    "RunnerConnection",
    "RunnerEvent",
    "StrayResponse",
]

_decode_for_orchestrator: Callable[[bytes], WireResponseMessage | HelloMessage | PongMessage] = (
    msgspec.json.Decoder(WireResponseMessage | HelloMessage | PongMessage).decode
)
_decode_for_runner: Callable[[bytes], RequestMessage | CancelMessage | PingMessage] = msgspec.json.Decoder(
    RequestMessage | CancelMessage | PingMessage
).decode
_BEGINNING_BYTES = 160
_MAX_BODY_DEPTH = MAX_DEPTH + ENVELOPE_DEPTH


_SPOKEN = (PROTOCOL_VERSION, VERSION_ONE)
_NEVER_ANSWERED = frozenset({"cancel", "response", "hello", "pong"})
_OURS = frozenset({"request", "cancel", "ping"})


class OrchestratorConnection(Connection[OrchestratorEvent]):
    """The orchestrator's end of a connection to one runner process.

    Args:
        framing: ``"length"`` for sockets, ``"line"`` for stdio.
        max_frame_bytes: Limit of one message, both ways.
        version: The protocol's version the runner speaks: "2", or "1" for those of the first 0.9 line.

    Attributes:
        strays_in_a_row: Stray responses since the last matched one. A high number is a confused runner (F70).
    """

    def __init__(
        self,
        framing: Framing = "length",
        max_frame_bytes: int = MAX_FRAME_BYTES,
        version: Literal["1", "2"] = PROTOCOL_VERSION,
    ) -> None:
        super().__init__(framing, max_frame_bytes)
        self._version = version
        self.strays_in_a_row = 0

    def request(self, request: WireRequest) -> bytes:
        """Open a request and return the bytes to send.

        Raises:
            FrameTooLarge: The request is over the limit. It was not opened, its neighbours are unaffected
                (F64).
            NotSerialisable: A text in it holds a lone surrogate. It was not opened.
            ProtocolError: Its id is open already, or the connection is not open.
        """
        self._pass("traffic")
        request_id = request.request_id
        if not self._may(request_id, "request"):
            raise ProtocolError(
                f"request {shown(request_id)} is already open; every attempt needs an id of its own"
            )
        data = self._frame(self._body(request))
        self._step(request_id, "request")
        self._jobs[request_id] = request.job_id
        return data

    def cancel(self, request_id: str, job_id: str, hard_kill: bool = False) -> bytes:
        """Return the bytes that ask the runner to stop a request early; empty if it is over already.

        The request stays open: its response is still to come.

        Raises:
            ProtocolError: The connection is not open.
        """
        self._pass("traffic")
        if not self._step(request_id, "cancel"):
            return b""
        cancel = CancelRequest(
            protocol_version=self._version, job_id=job_id, request_id=request_id, hard_kill=hard_kill
        )
        return self._frame(encode_body(CancelMessage(cancel)))

    def ping(self, number: int) -> bytes:
        """Return the bytes that ask whether the runner answers; only for one that named the extension.

        Raises:
            ProtocolError: The connection is not open.
        """
        self._pass("traffic")
        return self._frame(encode_body(PingMessage(Ping(number))))

    def abandon(self, request_id: str) -> bool:
        """Stop waiting for a response; a later one is a stray. Return False if the request was over
        already."""
        return self._step(request_id, "abandon")

    def _body(self, request: WireRequest) -> bytes:
        if self._version == PROTOCOL_VERSION:
            return encode_body(WireRequestMessage(request))
        try:
            return encode_request(request, self._framing)
        except ENCODE_ERRORS as error:
            raise not_serialisable("request", error) from None

    def _message(self, body: bytes) -> WireResponseMessage | HelloMessage | PongMessage:
        try:
            return _decode_for_orchestrator(body)
        except msgspec.DecodeError:
            if self._version == VERSION_ONE:
                with suppress(msgspec.DecodeError):
                    return WireResponseMessage(bare_outcome(body))
            raise

    def _event(self, body: bytes) -> OrchestratorEvent:
        try:
            message = self._message(body)
            if isinstance(message, HelloMessage):
                return HelloReceived(message.payload)
            if isinstance(message, PongMessage):
                return PongReceived(message.payload)
            # The result stays encoded, so nobody has looked at it yet.
            outcome = message.payload
            if outcome.result:
                check_text(bytes(outcome.result), "result")
            if outcome.error is not None and exceeds_depth(body, _MAX_BODY_DEPTH):
                raise RecursionError
        except (NotSerialisable, *DECODE_ERRORS) as error:
            return self._bad_message(invalid_message(body, error), body)
        return self._match(outcome)

    def _bad_message(self, error: InvalidMessage, body: bytes) -> BadMessage:
        request_id = error.request_id
        if request_id is None and self._framing == "length" and error.message_type in (None, "response"):
            # Who sends one frame per answer, and owes one answer, has just spoilt it. On stdio it may be
            # something that a handler printed.
            request_id = next(iter(self._jobs)) if len(self._jobs) == 1 else None
        beginning = bytes(body[:_BEGINNING_BYTES]) if self._framing == "line" else b""
        return BadMessage(error.problem, request_id, error.job_id, error.message_type in _OURS, beginning)

    def _match(self, outcome: WireOutcome) -> OrchestratorEvent:
        request_id, job_id = outcome.request_id, outcome.job_id
        if request_id is None:
            request_id = self._guess(job_id)
        expected = None if request_id is None else self._jobs.get(request_id)
        if request_id is None or expected is None:
            self.strays_in_a_row += 1
            return StrayResponse(outcome.request_id, job_id)
        if job_id is not None and job_id != expected:
            problem = (
                f"request {shown(request_id)} is of job {shown(expected)}, the response says {shown(job_id)}"
            )
            return BadMessage(problem, request_id, job_id)
        self._step(request_id, "response")
        self.strays_in_a_row = 0
        if outcome.request_id is None or job_id is None:
            outcome = msgspec.structs.replace(outcome, request_id=request_id, job_id=expected)
        return OutcomeReceived(outcome)

    def _guess(self, job_id: str | None) -> str | None:
        """Return the only request a response without request id can belong to."""
        if len(self._jobs) == 1:
            return next(iter(self._jobs))
        candidates = [request_id for request_id, each in self._jobs.items() if each == job_id]
        return candidates[0] if len(candidates) == 1 else None


class RunnerConnection(Connection[RunnerEvent]):
    """The runner's end of its connection to an orchestrator.

    Args:
        framing: ``"length"`` for sockets, ``"line"`` for stdio.
        max_in_flight: Requests accepted at a time; more are answered "busy". None for no limit.
        max_frame_bytes: Limit of one message, both ways.
    """

    def __init__(
        self,
        framing: Framing = "length",
        max_in_flight: int | None = None,
        max_frame_bytes: int = MAX_FRAME_BYTES,
    ) -> None:
        super().__init__(framing, max_frame_bytes)
        self.max_in_flight = max_in_flight

    def respond(self, outcome: ExecutionOutcome) -> bytes:
        """Close a request and return the bytes of its response. To be called exactly once per request.

        An outcome that cannot be sent is replaced by an error that says why, so that no request is left
        unanswered: ``result_not_serialisable``, ``result_too_large``; an overlong error keeps its type and is
        cut.

        Raises:
            ProtocolError: The outcome names no open request, or the connection is not open.
            FrameTooLarge: The ids alone do not fit into a frame.
        """
        self._pass("traffic")
        request_id = outcome.request_id
        if request_id is None or not self._may(request_id, "response"):
            raise ProtocolError(
                f"request {shown(request_id)} is not open; respond once per request, with its own request_id"
            )
        job_id = self._jobs[request_id]
        if outcome.job_id is None:
            outcome = msgspec.structs.replace(outcome, job_id=job_id)
        elif outcome.job_id != job_id:
            problem = f"the handler's outcome names job {shown(outcome.job_id)}, the request was for another"
            outcome = ExecutionOutcome.failure(job_id, request_id, problem, type=ErrorType.BAD_MESSAGE)
        data = self._response(outcome, job_id)
        self._step(request_id, "response")
        return data

    def hello(self, hello: Hello) -> bytes:
        """Return the bytes of the introduction; only for orchestrators that offered the extension.

        Raises:
            ProtocolError: The connection is not open.
        """
        self._pass("traffic")
        return self._frame(encode_body(HelloMessage(hello)))

    def _response(self, outcome: ExecutionOutcome, job_id: str) -> bytes:
        try:
            return self._encoded(outcome)
        except FrameTooLarge as error:
            problem, kind = f"the result is too large: {error}", ErrorType.RESULT_TOO_LARGE
        except NotSerialisable as error:
            problem, kind = f"the result cannot be sent: {error}", ErrorType.RESULT_NOT_SERIALISABLE
        for limit in ERROR_TEXT_CHARS[:-1]:
            with suppress(FrameTooLarge):
                return self._encoded(replacement(outcome, job_id, problem, kind, limit))
        return self._encoded(replacement(outcome, job_id, problem, kind, ERROR_TEXT_CHARS[-1]))

    def _encoded(self, outcome: ExecutionOutcome) -> bytes:
        return self._frame(encode_body(ResponseMessage(outcome)))

    def _event(self, body: bytes) -> RunnerEvent:
        try:
            if exceeds_depth(body, _MAX_BODY_DEPTH):
                raise RecursionError
            message = _decode_for_runner(body)
            if isinstance(message, RequestMessage) and message.payload.protocol_version == VERSION_ONE:
                return self._request(modern_request(message.payload, body))
        except DECODE_ERRORS as error:
            bad = invalid_message(body, error)
            return self._reject(
                ErrorType.BAD_MESSAGE, bad.problem, bad.message_type, bad.request_id, bad.job_id
            )
        if isinstance(message, CancelMessage):
            return self._cancel(message.payload)
        if isinstance(message, PingMessage):
            return Pinged(self._frame(encode_body(PongMessage(message.payload))))
        return self._request(message.payload)

    def _request(self, request: ExecutionRequest) -> RunnerEvent:
        request_id, job_id = request.request_id, request.job_id
        if request.protocol_version not in _SPOKEN:
            problem = _version_problem(request.protocol_version)
            return self._reject(ErrorType.UNSUPPORTED_VERSION, problem, "request", request_id, job_id)
        if not self._may(request_id, "request"):
            return self._reject(
                ErrorType.BAD_MESSAGE, "the request_id is already open", "request", request_id, job_id
            )
        if self.max_in_flight is not None and len(self._jobs) >= self.max_in_flight:
            problem = f"busy: {self.max_in_flight} requests are open already"
            return self._reject(ErrorType.BUSY, problem, "request", request_id, job_id)
        self._step(request_id, "request")
        self._jobs[request_id] = job_id
        return ExecutionRequested(request)

    def _cancel(self, cancel: CancelRequest) -> RunnerEvent:
        if cancel.protocol_version not in _SPOKEN:
            problem = _version_problem(cancel.protocol_version)
            return self._reject(
                ErrorType.UNSUPPORTED_VERSION, problem, "cancel", cancel.request_id, cancel.job_id
            )
        request_ids = tuple(
            request_id
            for request_id, job_id in self._jobs.items()
            if job_id == cancel.job_id and cancel.request_id in (None, request_id)
        )
        for request_id in request_ids:
            self._step(request_id, "cancel")
        return CancelRequested(cancel, request_ids)

    def _reject(
        self,
        kind: ErrorType,
        problem: str,
        message_type: str | None,
        request_id: str | None,
        job_id: str | None,
    ) -> Rejected:
        # A response to anything but a request, or for an id that is open, would end somebody else's attempt.
        answerable = message_type not in _NEVER_ANSWERED and request_id not in self._jobs
        reply = b""
        if answerable:
            code = kind if kind is ErrorType.BUSY else None
            error = ExecutionError(message=problem, type=kind, code=code)
            outcome = ExecutionOutcome(
                job_id=job_id, request_id=request_id, status=OutcomeStatus.ERROR, error=error
            )
            # Ids as long as a frame leave no room for an answer.
            with suppress(FrameTooLarge):
                reply = self._encoded(outcome)
        return Rejected(reply, problem, kind, request_id, job_id)


def _version_problem(version: str) -> str:
    spoken = " and ".join(map(repr, _SPOKEN))
    return f"protocol version {shown(version)} is not supported, this runner speaks {spoken}"
