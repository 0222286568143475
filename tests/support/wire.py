"""Messages and both ends of a runner connection, for tests."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from rrq_protocol.connection import ExecutionRequested, OrchestratorConnection, RunnerConnection
from rrq_protocol.frames import decode_frame, encode_frame
from rrq_protocol.messages import (
    ExecutionContext,
    ExecutionOutcome,
    ExecutionRequest,
    RequestMessage,
    ResponseMessage,
    WireContext,
    WireRequest,
)

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)


def wire_request(request_id: str = "r1", job_id: str = "j1", params: bytes = b"{}") -> WireRequest:
    """Return a request as the orchestrator dispatches it."""
    context = WireContext(job_id=job_id, attempt=1, enqueue_time="2024-05-01T12:00:00Z", queue_name="default")
    return WireRequest(
        request_id=request_id, job_id=job_id, function_name="f", params=msgspec.Raw(params), context=context
    )


def request(params: dict[str, Any]) -> RequestMessage:
    """Return a request with these parameters, as a runner reads it."""
    context = ExecutionContext(job_id="j1", attempt=1, enqueue_time=NOON, queue_name="default")
    return RequestMessage(
        ExecutionRequest(request_id="r1", job_id="j1", function_name="f", params=params, context=context)
    )


def success(result: Any) -> ResponseMessage:
    """Return the response to it with this result."""
    return ResponseMessage(ExecutionOutcome.success("j1", "r1", result))


def request_message(request_id: str = "r1", job_id: str = "j1", version: str = "2") -> RequestMessage:
    """Return the same request as a runner reads it."""
    context = ExecutionContext(job_id=job_id, attempt=1, enqueue_time=NOON, queue_name="default")
    return RequestMessage(
        ExecutionRequest(
            protocol_version=version, request_id=request_id, job_id=job_id, function_name="f", context=context
        )
    )


def response(outcome: ExecutionOutcome) -> bytes:
    """Return the frame of a response."""
    return encode_frame(ResponseMessage(outcome))


def answered(data: bytes) -> ExecutionOutcome:
    """Return the outcome in the frame of a response."""
    message = decode_frame(data)
    assert isinstance(message, ResponseMessage)
    return message.payload


def opened(*requests: tuple[str, str], max_in_flight: int | None = None) -> RunnerConnection:
    """Return a runner's end with these open requests."""
    runner = RunnerConnection(max_in_flight=max_in_flight)
    for request_id, job_id in requests:
        (event,) = runner.receive(encode_frame(request_message(request_id, job_id)))
        assert isinstance(event, ExecutionRequested)
    return runner


def waiting(*requests: tuple[str, str]) -> OrchestratorConnection:
    """Return an orchestrator's end with these open requests."""
    orchestrator = OrchestratorConnection()
    for request_id, job_id in requests:
        orchestrator.request(wire_request(request_id, job_id))
    return orchestrator
