"""Messages of the runner protocol, version 2 (RUNNER_PROTOCOL.md).

Every message travels as ``{"type": T, "payload": {...}}``. Fields that hold their default are left out when a
message is encoded, ``null`` counts as absent for optional fields, and unknown fields are skipped, so fields
can be added without a new version. Times are aware datetimes, normalised to UTC; RFC 3339 on the wire.

The ``Wire*`` types are the same messages for the orchestrator: they carry parameters and results as the bytes
they are stored as, so that dispatch never parses a payload.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec.structs import force_setattr

PROTOCOL_VERSION: Final = "2"
"""The version this package speaks. A message without ``protocol_version`` is taken to be of this version."""


class OutcomeStatus(StrEnum):
    """How an attempt ended, as the runner reports it."""

    SUCCESS = "success"
    RETRY = "retry"
    TIMEOUT = "timeout"
    ERROR = "error"


class ErrorType(StrEnum):
    """Values of :attr:`ExecutionError.type` that RRQ itself gives or understands; handlers may use others."""

    HANDLER_NOT_FOUND = "handler_not_found"
    INVALID_PARAMS = "invalid_params"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    BUSY = "busy"
    RESULT_NOT_SERIALISABLE = "result_not_serialisable"
    RESULT_TOO_LARGE = "result_too_large"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    UNSUPPORTED_VERSION = "unsupported_version"
    BAD_MESSAGE = "bad_message"


FATAL_ERROR_TYPES: Final = frozenset(
    str(kind)
    for kind in (
        ErrorType.HANDLER_NOT_FOUND,
        ErrorType.INVALID_PARAMS,
        ErrorType.RESULT_NOT_SERIALISABLE,
        ErrorType.RESULT_TOO_LARGE,
        ErrorType.PAYLOAD_TOO_LARGE,
        ErrorType.UNSUPPORTED_VERSION,
    )
)
"""Error types another attempt cannot cure."""

FATAL_CODE: Final = "fatal"
""":attr:`ExecutionError.code` of a failure that another attempt shall not try to cure, whatever its type."""


def _version() -> str:
    # A factory, not a plain default: fields with a default are left out on the wire, the version never is.
    return PROTOCOL_VERSION


def _no_params() -> dict[str, Any]:
    # As above: the codec leaves out an empty `dict()`, and other implementations may insist on the field.
    return {}


def _utc(value: datetime, field: str) -> datetime:
    if value.utcoffset() is None:
        raise ValueError(
            f"{field}: expected a datetime with a timezone, got the naive {value.isoformat()}; "
            "use datetime.now(timezone.utc) or attach the zone it was meant in"
        )
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{field}: {value.isoformat()} is outside the years 1 to 9999 in UTC") from None


class ExecutionContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a handler may know about the attempt it runs.

    Attributes:
        attempt: Counted from 1.
        enqueue_time: When the job was enqueued. Aware; kept in UTC.
        deadline: The instant the attempt is cancelled at, None without a limit. Aware; kept in UTC.
        trace_context: Tracing headers given by the producer.
        correlation_context: Values taken from the parameters for logs and traces.
        worker_id: The orchestrator that dispatched the attempt.

    Raises:
        ValueError: A datetime is naive.
    """

    job_id: str
    attempt: Annotated[int, msgspec.Meta(ge=1)]
    enqueue_time: datetime
    queue_name: str
    deadline: datetime | None = None
    trace_context: dict[str, str] | None = None
    correlation_context: dict[str, str] | None = None
    worker_id: str | None = None

    def __post_init__(self) -> None:
        if self.enqueue_time.tzinfo is not UTC:
            force_setattr(self, "enqueue_time", _utc(self.enqueue_time, "enqueue_time"))
        if self.deadline is not None and self.deadline.tzinfo is not UTC:
            force_setattr(self, "deadline", _utc(self.deadline, "deadline"))


class ExecutionRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Run a handler once. ``function_name`` has no runner prefix; ``request_id`` names this attempt."""

    protocol_version: str = msgspec.field(default_factory=_version)
    request_id: str
    job_id: str
    function_name: str
    params: dict[str, Any] = msgspec.field(default_factory=_no_params)
    context: ExecutionContext


class ExecutionError(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why an attempt did not succeed. ``details`` is any JSON value."""

    message: str
    type: str | None = None
    code: str | None = None
    details: Any = None

    @property
    def is_fatal(self) -> bool:
        """True if another attempt cannot succeed, so that retrying is pointless."""
        return self.type in FATAL_ERROR_TYPES or self.code == FATAL_CODE


class ExecutionOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an attempt ended. Use the constructors: they keep the fields consistent."""

    job_id: str | None = None
    request_id: str | None = None
    status: OutcomeStatus
    result: Any = None
    error: ExecutionError | None = None
    retry_after_seconds: Annotated[float, msgspec.Meta(ge=0)] | None = None

    @classmethod
    def success(cls, job_id: str, request_id: str, result: Any = None) -> "ExecutionOutcome":
        """The handler returned ``result``, any JSON value."""
        return cls(job_id=job_id, request_id=request_id, status=OutcomeStatus.SUCCESS, result=result)

    @classmethod
    def failure(
        cls,
        job_id: str,
        request_id: str,
        message: str,
        *,
        type: str | None = None,
        code: str | None = None,
        details: Any = None,
    ) -> "ExecutionOutcome":
        """The handler failed; retried by the job's policy unless ``type`` or ``code`` is fatal."""
        error = ExecutionError(message=message, type=type, code=code, details=details)
        return cls(job_id=job_id, request_id=request_id, status=OutcomeStatus.ERROR, error=error)

    @classmethod
    def retry_after(
        cls, job_id: str, request_id: str, message: str, seconds: float | None = None
    ) -> "ExecutionOutcome":
        """The handler asks for another attempt in ``seconds``; None leaves the delay to the retry policy.

        Raises:
            ValueError: ``seconds`` is negative, infinite or not a number.
        """
        if seconds is not None and not 0 <= seconds < float("inf"):
            raise ValueError(f"seconds: expected a finite number >= 0, got {seconds}")
        return cls(
            job_id=job_id,
            request_id=request_id,
            status=OutcomeStatus.RETRY,
            error=ExecutionError(message=message),
            retry_after_seconds=seconds,
        )

    @classmethod
    def timeout(
        cls, job_id: str, request_id: str, message: str = "the deadline passed"
    ) -> "ExecutionOutcome":
        """The attempt was stopped at its deadline. A ``TimeoutError`` of user code is a failure, not this."""
        error = ExecutionError(message=message, type=ErrorType.TIMEOUT)
        return cls(job_id=job_id, request_id=request_id, status=OutcomeStatus.TIMEOUT, error=error)

    @classmethod
    def cancelled(
        cls, job_id: str, request_id: str, message: str = "the job was cancelled"
    ) -> "ExecutionOutcome":
        """The attempt was stopped by a cancel request."""
        return cls.failure(job_id, request_id, message, type=ErrorType.CANCELLED)

    @classmethod
    def handler_not_found(cls, job_id: str, request_id: str, message: str) -> "ExecutionOutcome":
        """The runner has no handler of that name. Fatal."""
        return cls.failure(job_id, request_id, message, type=ErrorType.HANDLER_NOT_FOUND)


class CancelRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Stop an attempt; without ``request_id`` all of the job. ``hard_kill``: do not wait for the handler."""

    protocol_version: str = msgspec.field(default_factory=_version)
    job_id: str
    request_id: str | None = None
    # A factory for the same reason as the version: upstream runners expect to see it.
    hard_kill: bool = msgspec.field(default_factory=lambda: False)


class Hello(msgspec.Struct, frozen=True, omit_defaults=True):
    """First frame of a runner, where the orchestrator offered the extension.

    Attributes:
        runtime: Name of the implementation, such as "rrq-runner".
        version: Its version.
        handlers: Names of the registered handlers.
        max_in_flight: Requests it wants open at a time; None leaves that to the settings.
        extensions: Those of the offered extensions it takes part in, such as "ping".
    """

    runtime: str
    version: str
    handlers: list[str] = msgspec.field(default_factory=list)
    max_in_flight: Annotated[int, msgspec.Meta(ge=1)] | None = None
    extensions: list[str] = msgspec.field(default_factory=list)


class Ping(msgspec.Struct, frozen=True):
    """Whether the runner still answers, whatever its handlers do. The pong has the same number."""

    number: int


class RequestMessage(msgspec.Struct, frozen=True, tag_field="type", tag="request"):
    """Orchestrator to runner: run this."""

    payload: ExecutionRequest


class ResponseMessage(msgspec.Struct, frozen=True, tag_field="type", tag="response"):
    """Runner to orchestrator: this is how it ended."""

    payload: ExecutionOutcome


class CancelMessage(msgspec.Struct, frozen=True, tag_field="type", tag="cancel"):
    """Orchestrator to runner: stop this."""

    payload: CancelRequest


class HelloMessage(msgspec.Struct, frozen=True, tag_field="type", tag="hello"):
    """Runner to orchestrator: this is what I am."""

    payload: Hello


class PingMessage(msgspec.Struct, frozen=True, tag_field="type", tag="ping"):
    """Orchestrator to runner: are you there? Only to runners that named the extension in their hello."""

    payload: Ping


class PongMessage(msgspec.Struct, frozen=True, tag_field="type", tag="pong"):
    """Runner to orchestrator: I am."""

    payload: Ping


Message = RequestMessage | ResponseMessage | CancelMessage | HelloMessage | PingMessage | PongMessage


ABSENT: Final = msgspec.Raw()
"""The JSON text of a field that was not sent. Empty, so it is left out when a message is encoded."""


class WireContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """:class:`ExecutionContext` for dispatch. Times are RFC 3339 UTC; ``trace_context`` is encoded JSON."""

    job_id: str
    attempt: int
    enqueue_time: str
    queue_name: str
    deadline: str | None = None
    trace_context: msgspec.Raw = ABSENT
    correlation_context: dict[str, str] | None = None
    worker_id: str | None = None


class WireRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """:class:`ExecutionRequest` for dispatch. ``params`` is copied into the frame unread.

    The caller must have made sure that it is one JSON object (:func:`rrq_protocol.strict_json.check_object`).
    """

    protocol_version: str = msgspec.field(default_factory=_version)
    request_id: str
    job_id: str
    function_name: str
    params: msgspec.Raw
    context: WireContext


class WireRequestMessage(msgspec.Struct, frozen=True, tag_field="type", tag="request"):
    """:class:`RequestMessage` for dispatch."""

    payload: WireRequest


class WireOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """:class:`ExecutionOutcome` as the orchestrator receives it.

    ``result`` is the JSON text as it came; empty (:data:`ABSENT`) if the response had none. It refers to the
    received frame: ``bytes(outcome.result)`` makes a copy that lets go of the rest.
    """

    job_id: str | None = None
    request_id: str | None = None
    status: OutcomeStatus
    result: msgspec.Raw = ABSENT
    error: ExecutionError | None = None
    retry_after_seconds: Annotated[float, msgspec.Meta(ge=0)] | None = None


class WireResponseMessage(msgspec.Struct, frozen=True, tag_field="type", tag="response"):
    """:class:`ResponseMessage` as the orchestrator receives it."""

    payload: WireOutcome
