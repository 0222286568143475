"""Messages on the wire: exact bytes, tolerant reading, and what their constructors promise."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrq_protocol.messages import (
    FATAL_CODE,
    FATAL_ERROR_TYPES,
    PROTOCOL_VERSION,
    CancelMessage,
    CancelRequest,
    ErrorType,
    ExecutionContext,
    ExecutionError,
    ExecutionOutcome,
    ExecutionRequest,
    Hello,
    HelloMessage,
    OutcomeStatus,
    RequestMessage,
    ResponseMessage,
    WireContext,
    WireOutcome,
    WireRequest,
    WireRequestMessage,
    WireResponseMessage,
)

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)

REQUEST = ExecutionRequest(
    request_id="r1",
    job_id="j1",
    function_name="send_email",
    params={"to": "a@b.c"},
    context=ExecutionContext(job_id="j1", attempt=1, enqueue_time=NOON, queue_name="default"),
)
REQUEST_BYTES = (
    b'{"type":"request","payload":{"protocol_version":"2","request_id":"r1","job_id":"j1",'
    b'"function_name":"send_email","params":{"to":"a@b.c"},"context":{"job_id":"j1","attempt":1,'
    b'"enqueue_time":"2024-05-01T12:00:00Z","queue_name":"default"}}}'
)


def encoded(message: object) -> bytes:
    """Return the JSON of a message."""
    return msgspec.json.encode(message)


def outcome_bytes(outcome: ExecutionOutcome) -> bytes:
    """Return the JSON of an outcome."""
    return msgspec.json.encode(outcome)


def test_a_request_has_exactly_these_bytes() -> None:
    """Optional fields at their default are left out; the version is always told."""
    assert encoded(RequestMessage(payload=REQUEST)) == REQUEST_BYTES
    assert msgspec.json.decode(REQUEST_BYTES, type=RequestMessage) == RequestMessage(payload=REQUEST)


def test_a_request_with_everything_has_exactly_these_bytes() -> None:
    """Given optional fields are sent, in the order of the protocol's table."""
    context = ExecutionContext(
        job_id="j1",
        attempt=3,
        enqueue_time=NOON,
        queue_name="q",
        deadline=NOON + timedelta(microseconds=1_500_000),
        trace_context={"traceparent": "00-1"},
        correlation_context={"tenant": "t"},
        worker_id="w1",
    )
    assert encoded(context) == (
        b'{"job_id":"j1","attempt":3,"enqueue_time":"2024-05-01T12:00:00Z","queue_name":"q",'
        b'"deadline":"2024-05-01T12:00:01.500000Z","trace_context":{"traceparent":"00-1"},'
        b'"correlation_context":{"tenant":"t"},"worker_id":"w1"}'
    )


def test_empty_parameters_are_sent() -> None:
    """A request always has its parameters, also if there are none: other implementations may insist."""
    request = ExecutionRequest(request_id="r", job_id="j", function_name="f", context=REQUEST.context)
    assert b'"params":{}' in encoded(request)


def test_a_dispatched_request_has_the_same_bytes() -> None:
    """The orchestrator's form of a request, with stored parameters, is the same message on the wire."""
    wire = WireRequestMessage(
        WireRequest(
            request_id="r1",
            job_id="j1",
            function_name="send_email",
            params=msgspec.Raw(b'{"to":"a@b.c"}'),
            context=WireContext(
                job_id="j1", attempt=1, enqueue_time="2024-05-01T12:00:00Z", queue_name="default"
            ),
        )
    )
    assert encoded(wire) == REQUEST_BYTES
    read = msgspec.json.decode(REQUEST_BYTES, type=WireRequestMessage)
    assert bytes(read.payload.params) == b'{"to":"a@b.c"}'
    assert encoded(read) == REQUEST_BYTES


def test_a_stored_trace_context_is_passed_on_unread() -> None:
    """The orchestrator copies the trace context as it is stored."""
    context = WireContext(
        job_id="j", attempt=1, enqueue_time="t", queue_name="q", trace_context=msgspec.Raw(b'{"a": "b"}')
    )
    assert b'"trace_context":{"a": "b"}' in encoded(context)


@pytest.mark.parametrize(
    ("outcome", "body"),
    [
        (
            ExecutionOutcome.success("j1", "r1", {"sent": True}),
            b'{"job_id":"j1","request_id":"r1","status":"success","result":{"sent":true}}',
        ),
        (
            ExecutionOutcome.success("j1", "r1"),
            b'{"job_id":"j1","request_id":"r1","status":"success"}',
        ),
        (
            ExecutionOutcome.failure("j1", "r1", "Connection timeout"),
            b'{"job_id":"j1","request_id":"r1","status":"error","error":{"message":"Connection timeout"}}',
        ),
        (
            ExecutionOutcome.failure("j1", "r1", "no", type="ValueError", code="E7", details={"a": [1]}),
            (
                b'{"job_id":"j1","request_id":"r1","status":"error",'
                b'"error":{"message":"no","type":"ValueError","code":"E7","details":{"a":[1]}}}'
            ),
        ),
        (
            ExecutionOutcome.retry_after("j1", "r1", "Rate limited", 60),
            (
                b'{"job_id":"j1","request_id":"r1","status":"retry","error":{"message":"Rate limited"},'
                b'"retry_after_seconds":60}'
            ),
        ),
        (
            ExecutionOutcome.retry_after("j1", "r1", "later"),
            b'{"job_id":"j1","request_id":"r1","status":"retry","error":{"message":"later"}}',
        ),
        (
            ExecutionOutcome.timeout("j1", "r1"),
            (
                b'{"job_id":"j1","request_id":"r1","status":"timeout",'
                b'"error":{"message":"the deadline passed","type":"timeout"}}'
            ),
        ),
        (
            ExecutionOutcome.timeout("j1", "r1", "too slow"),
            (
                b'{"job_id":"j1","request_id":"r1","status":"timeout",'
                b'"error":{"message":"too slow","type":"timeout"}}'
            ),
        ),
        (
            ExecutionOutcome.cancelled("j1", "r1"),
            (
                b'{"job_id":"j1","request_id":"r1","status":"error",'
                b'"error":{"message":"the job was cancelled","type":"cancelled"}}'
            ),
        ),
        (
            ExecutionOutcome.handler_not_found("j1", "r1", "no handler named 'x'"),
            (
                b'{"job_id":"j1","request_id":"r1","status":"error",'
                b'"error":{"message":"no handler named \'x\'","type":"handler_not_found"}}'
            ),
        ),
    ],
    ids=lambda value: value.status if isinstance(value, ExecutionOutcome) else "",
)
def test_outcomes_have_exactly_these_bytes(outcome: ExecutionOutcome, body: bytes) -> None:
    """Each constructor gives the message of the protocol's table, and it reads back the same."""
    assert outcome_bytes(outcome) == body
    assert msgspec.json.decode(body, type=ExecutionOutcome) == outcome


def test_cancel_and_hello_have_exactly_these_bytes() -> None:
    """Cancelling always tells how hard; a hello leaves out what it does not say."""
    assert encoded(CancelMessage(payload=CancelRequest(job_id="j1", request_id="r1"))) == (
        b'{"type":"cancel","payload":{"protocol_version":"2","job_id":"j1","request_id":"r1","hard_kill":false}}'
    )
    assert encoded(CancelMessage(payload=CancelRequest(job_id="j1", hard_kill=True))) == (
        b'{"type":"cancel","payload":{"protocol_version":"2","job_id":"j1","hard_kill":true}}'
    )
    assert encoded(HelloMessage(payload=Hello("rrq-runner", "1.0", ["echo"], 10))) == (
        b'{"type":"hello","payload":{"runtime":"rrq-runner","version":"1.0","handlers":["echo"],"max_in_flight":10}}'
    )
    assert encoded(Hello("node", "22")) == b'{"runtime":"node","version":"22"}'


def test_null_and_unknown_fields_are_tolerated() -> None:
    """Null is absent for optional fields, and fields of a later version are skipped."""
    body = (
        b'{"new":1,"payload":{"later":[{}],"protocol_version":"2","request_id":"r1","job_id":"j1",'
        b'"function_name":"send_email","params":{"to":"a@b.c"},"context":{"job_id":"j1","attempt":1,'
        b'"enqueue_time":"2024-05-01T12:00:00Z","queue_name":"default","deadline":null,"trace_context":null,'
        b'"correlation_context":null,"worker_id":null,"x":{}}},"type":"request"}'
    )
    assert msgspec.json.decode(body, type=RequestMessage).payload == REQUEST
    nulls = (
        b'{"job_id":null,"request_id":null,"status":"success","result":null,"error":null,'
        b'"retry_after_seconds":null}'
    )
    assert msgspec.json.decode(nulls, type=ExecutionOutcome) == ExecutionOutcome(status=OutcomeStatus.SUCCESS)
    wire = msgspec.json.decode(nulls, type=WireOutcome)
    assert (wire.job_id, bytes(wire.result), wire.error) == (None, b"null", None)


def test_a_missing_version_is_the_current_one() -> None:
    """A peer that does not tell its version speaks this one."""
    assert msgspec.json.decode(b'{"job_id":"j1"}', type=CancelRequest).protocol_version == PROTOCOL_VERSION


def without(field: str) -> bytes:
    """Return a request without one of its fields."""
    message = msgspec.json.decode(REQUEST_BYTES)
    owner = message["payload"] if field in message["payload"] else message["payload"]["context"]
    del owner[field]
    return msgspec.json.encode(message)


@pytest.mark.parametrize(
    "field", ["request_id", "function_name", "context", "attempt", "enqueue_time", "queue_name"]
)
def test_required_fields_are_required(field: str) -> None:
    """A request without a field the protocol requires is refused, and the text names the field."""
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.json.decode(without(field), type=RequestMessage)


@pytest.mark.parametrize(
    ("target", "body", "problem"),
    [
        (ExecutionOutcome, b'{"job_id":"j1"}', "missing required field `status`"),
        (ExecutionOutcome, b'{"status":"done"}', "Invalid enum value 'done'"),
        (ExecutionOutcome, b'{"status":"retry","retry_after_seconds":-1}', ">= 0"),
        (ExecutionOutcome, b'{"status":"retry","retry_after_seconds":"5"}', "Expected `float | null`"),
        (ExecutionOutcome, b'{"status":"error","error":{}}', "missing required field `message`"),
        (ExecutionOutcome, b'{"status":"error","error":"no"}', "Expected `object | null`"),
        (ExecutionOutcome, b'{"status":"success","job_id":7}', "Expected `str | null`"),
        (Hello, b'{"runtime":"x","version":"1","max_in_flight":0}', ">= 1"),
        (Hello, b'{"runtime":"x"}', "missing required field `version`"),
        (CancelRequest, b'{"request_id":"r"}', "missing required field `job_id`"),
        (
            ExecutionContext,
            b'{"job_id":"j","attempt":0,"enqueue_time":"2024-05-01T12:00:00Z","queue_name":"q"}',
            ">= 1",
        ),
    ],
)
def test_wrong_values_are_refused(target: type[Any], body: bytes, problem: str) -> None:
    """Missing fields and values of the wrong type or range are refused with the reason."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(body, type=target)
    assert problem in str(caught.value)


def context(enqueue_time: datetime, deadline: datetime | None = None) -> ExecutionContext:
    """Return a context with these times."""
    return ExecutionContext(
        job_id="j", attempt=1, enqueue_time=enqueue_time, queue_name="q", deadline=deadline
    )


@pytest.mark.parametrize("field", ["enqueue_time", "deadline"])
def test_naive_times_are_refused(field: str) -> None:
    """A datetime without a zone is refused by name, at construction and on the wire."""
    naive = datetime(2024, 5, 1, 12, 0)  # noqa: DTZ001 - the mistake under test
    times = {"enqueue_time": NOON, "deadline": NOON, field: naive}
    with pytest.raises(ValueError, match=f"^{field}: expected a datetime with a timezone"):
        context(**times)
    body = encoded(context(NOON, NOON)).replace(
        f'"{field}":"2024-05-01T12:00:00Z"'.encode(), f'"{field}":"2024-05-01T12:00:00"'.encode()
    )
    with pytest.raises(msgspec.ValidationError, match=f"{field}: expected a datetime with a timezone"):
        msgspec.json.decode(body, type=ExecutionContext)


@given(st.datetimes(timezones=st.timezones()), st.integers(-1439, 1439))
def test_times_are_normalised_to_utc(moment: datetime, minutes: int) -> None:
    """Whatever the zone, the instant is kept, shown in UTC, and survives the wire."""
    try:
        expected = moment.astimezone(UTC)
        elsewhere = expected.astimezone(timezone(timedelta(minutes=minutes)))
    except OverflowError:
        return
    for time in (moment, elsewhere):
        made = context(time, time)
        assert made.enqueue_time == made.deadline == expected
        assert made.enqueue_time.tzinfo is UTC
        body = encoded(made)
        assert body.count(b'Z"') == 2
        assert msgspec.json.decode(body, type=ExecutionContext) == made


def test_nanoseconds_and_offsets_are_read() -> None:
    """Times of other implementations have nanoseconds or offsets; they are read to the microsecond."""
    body = encoded(context(NOON)).replace(b"12:00:00Z", b"14:00:00.123456400+02:00")
    made = msgspec.json.decode(body, type=ExecutionContext)
    assert made.enqueue_time == NOON.replace(microsecond=123456)
    assert made.enqueue_time.tzinfo is UTC


@pytest.mark.parametrize("text", [b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-14:00"])
def test_times_that_leave_the_calendar_are_refused(text: bytes) -> None:
    """An offset that moves a time out of the years 1 to 9999 is a bad message, not a crash."""
    body = encoded(context(NOON)).replace(b"2024-05-01T12:00:00Z", text)
    with pytest.raises(msgspec.ValidationError, match="outside the years"):
        msgspec.json.decode(body, type=ExecutionContext)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), float("-inf")])
def test_retry_delays_must_be_possible(seconds: float) -> None:
    """A negative, infinite or undefined delay is refused where it is made."""
    with pytest.raises(ValueError, match="finite number >= 0"):
        ExecutionOutcome.retry_after("j", "r", "later", seconds)


def test_fatal_errors_are_told_by_their_type_or_their_code() -> None:
    """An error another attempt cannot cure is fatal, or one its runner calls so; failures, timeouts and a
    busy runner are not.
    """
    assert ExecutionError("x", type="ValueError", code=FATAL_CODE).is_fatal
    assert not ExecutionError("x", type="ValueError", code="E17").is_fatal
    assert ExecutionError("x", type=ErrorType.HANDLER_NOT_FOUND).is_fatal
    assert ExecutionError("x", type="invalid_params").is_fatal
    assert not ExecutionError("x").is_fatal
    assert not ExecutionError("x", type="ValueError").is_fatal
    not_fatal = {ErrorType.CANCELLED, ErrorType.TIMEOUT, ErrorType.BUSY, ErrorType.BAD_MESSAGE}
    assert set(ErrorType) - FATAL_ERROR_TYPES == not_fatal


def test_messages_cannot_be_changed() -> None:
    """A message is a value: nothing changes it after it was made."""
    with pytest.raises(AttributeError):
        REQUEST.job_id = "other"  # type: ignore[misc]


def test_results_stay_encoded_for_the_orchestrator() -> None:
    """A result is kept byte for byte, an absent one is empty and stays absent."""
    message = msgspec.json.decode(
        b'{"type":"response","payload":{"status":"success","result":{"a": 1.0}}}', type=WireResponseMessage
    )
    assert bytes(message.payload.result) == b'{"a": 1.0}'
    absent = msgspec.json.decode(b'{"status":"success"}', type=WireOutcome)
    assert bytes(absent.result) == b""
    assert encoded(absent) == b'{"status":"success"}'
    assert encoded(ResponseMessage(ExecutionOutcome.success("j", "r", 1))).endswith(b'"result":1}}')
