"""The runner's end of a connection: what it refuses, and that it answers every request exactly once."""

from typing import Any

import pytest

from rrq_protocol.connection import (
    ExecutionRequested,
    Rejected,
    RunnerConnection,
)
from rrq_protocol.errors import ProtocolError
from rrq_protocol.frames import encode_frame, frame
from rrq_protocol.messages import (
    ErrorType,
    ExecutionError,
    ExecutionOutcome,
    OutcomeStatus,
)
from support.wire import answered, opened, request_message, response

# The runner's refusals.


def test_a_full_runner_is_busy() -> None:
    """Over its limit a runner answers busy, and takes requests again after a response."""
    runner = opened(("r1", "j1"), ("r2", "j2"), max_in_flight=2)
    third = encode_frame(request_message("r3", "j3"))
    (event,) = runner.receive(third)
    assert isinstance(event, Rejected)
    assert event.error_type is ErrorType.BUSY
    outcome = answered(event.reply)
    assert (outcome.request_id, outcome.job_id, outcome.status) == ("r3", "j3", OutcomeStatus.ERROR)
    assert outcome.error == ExecutionError("busy: 2 requests are open already", type="busy", code="busy")
    runner.respond(ExecutionOutcome.success("j1", "r1"))
    assert isinstance(runner.receive(third)[0], ExecutionRequested)


@pytest.mark.parametrize("version", ["0", "3", "", "2.0"])
def test_another_version_is_refused(version: str) -> None:
    """A request of another version is answered with an error that says which version is spoken (F68)."""
    runner = RunnerConnection()
    (event,) = runner.receive(encode_frame(request_message(version=version)))
    assert isinstance(event, Rejected)
    assert (event.error_type, event.request_id, event.job_id) == (ErrorType.UNSUPPORTED_VERSION, "r1", "j1")
    error = answered(event.reply).error
    assert error == ExecutionError(
        f"protocol version {version!r} is not supported, this runner speaks '2' and '1'",
        type="unsupported_version",
    )
    assert not runner.outstanding


def test_a_repeated_request_is_refused_without_an_answer() -> None:
    """An id that is open is not opened twice; an answer would be taken for the first one's."""
    runner = opened(("r1", "j1"))
    (event,) = runner.receive(encode_frame(request_message("r1", "j1")))
    assert isinstance(event, Rejected)
    assert (event.reply, event.request_id) == (b"", "r1")
    assert dict(runner.outstanding) == {"r1": "j1"}
    runner.respond(ExecutionOutcome.success("j1", "r1"))


BAD_BODIES = [
    b"nonsense",
    b"\xff\xfe\xfd",
    b"[]",
    b"{}",
    b'{"type":"request"}',
    b'{"type":"request","payload":{"request_id":"r9","job_id":"j9"}}',
    b'{"type":"request","payload":{"request_id":"r9","job_id":"j9","params":[]}}',
    b'{"type":"ping","payload":{"request_id":"r9"}}',
    b'{"type":"request","payload":{"request_id":"r9","params":' + b"[" * 1_000_000,
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: ascii(body[:60]))
def test_a_bad_message_is_answered_and_concerns_itself_alone(body: bytes) -> None:
    """What cannot be understood is answered bad_message; its neighbours in the same read complete (F68)."""
    runner = RunnerConnection()
    before, after = (encode_frame(request_message(name, name)) for name in ("a", "b"))
    first, bad, second = runner.receive(before + frame(body, "length") + after)
    assert isinstance(first, ExecutionRequested)
    assert isinstance(second, ExecutionRequested)
    assert isinstance(bad, Rejected)
    outcome = answered(bad.reply)
    assert outcome.error is not None
    assert outcome.error.type == ErrorType.BAD_MESSAGE
    assert outcome.error.message == bad.problem
    assert outcome.request_id == ("r9" if b"r9" in body else None)
    assert tuple(runner.outstanding) == ("a", "b")


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"cancel","payload":{"request_id":"r1"}}',
        b'{"type":"cancel","payload":{"protocol_version":"9","job_id":"j1","request_id":"r1"}}',
        b'{"type":"response","payload":{"request_id":"r1","job_id":"j1","status":"success"}}',
        b'{"type":"hello","payload":{"runtime":"x","version":"1"}}',
        b'{"type":"request","payload":{"request_id":"r1"}}',
    ],
)
def test_what_is_no_new_request_is_refused_without_an_answer(body: bytes) -> None:
    """A response to a bad cancel, or in the name of an open request, would end somebody else's attempt."""
    runner = opened(("r1", "j1"))
    (event,) = runner.receive(frame(body, "length"))
    assert isinstance(event, Rejected)
    assert event.reply == b""
    assert dict(runner.outstanding) == {"r1": "j1"}


def test_ids_as_long_as_a_frame_are_refused_without_an_answer() -> None:
    """An answer that cannot fit into a frame is not sent, and does not crash the runner."""
    runner = RunnerConnection(max_frame_bytes=1000)
    body = b'{"type":"request","payload":{"request_id":"%s"}}' % (b"x" * 900)
    (event,) = runner.receive(frame(body, "length"))
    assert isinstance(event, Rejected)
    assert (event.error_type, event.reply) == (ErrorType.BAD_MESSAGE, b"")


# What a runner answers.


def test_respond_is_called_exactly_once_per_request() -> None:
    """A second answer, one to an unknown request, and one without request id are the runner's mistakes."""
    runner = opened(("r1", "j1"))
    with pytest.raises(ProtocolError, match="request 'r9' is not open"):
        runner.respond(ExecutionOutcome.success("j1", "r9"))
    with pytest.raises(ProtocolError, match="request None is not open"):
        runner.respond(ExecutionOutcome(status=OutcomeStatus.SUCCESS))
    runner.respond(ExecutionOutcome.success("j1", "r1"))
    with pytest.raises(ProtocolError, match="respond once per request"):
        runner.respond(ExecutionOutcome.success("j1", "r1"))
    assert runner.state == "open"


def test_an_outcome_gets_its_job() -> None:
    """A missing job id is filled in; another job's is an error in place of the outcome."""
    runner = opened(("r1", "j1"), ("r2", "j2"))
    filled = answered(
        runner.respond(ExecutionOutcome(request_id="r1", status=OutcomeStatus.SUCCESS, result=1))
    )
    assert (filled.job_id, filled.result) == ("j1", 1)
    wrong = answered(runner.respond(ExecutionOutcome.success("j1", "r2", "of another job")))
    assert (wrong.job_id, wrong.request_id, wrong.result) == ("j2", "r2", None)
    assert wrong.status is OutcomeStatus.ERROR


def cyclic() -> list[Any]:
    """Return a list that holds itself."""
    items: list[Any] = []
    items.append(items)
    return items


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        (object(), "has no JSON form"),
        (float("nan"), "is nan"),
        ({"a": [float("inf")]}, "result.a[0]: is inf"),
        (cyclic(), "refers to itself"),
        ("\ud800", "lone surrogate"),
        (10**5000, "has no JSON form"),
    ],
    ids=["object", "nan", "inf", "cycle", "surrogate", "digits"],
)
def test_an_unserialisable_result_is_answered_at_once(result: Any, problem: str) -> None:
    """A result without a JSON form becomes an error that says so, and the request is answered (F77)."""
    runner = opened(("r1", "j1"))
    outcome = answered(runner.respond(ExecutionOutcome.success("j1", "r1", result)))
    assert (outcome.job_id, outcome.request_id, outcome.status) == ("j1", "r1", OutcomeStatus.ERROR)
    assert outcome.error is not None
    assert outcome.error.type == ErrorType.RESULT_NOT_SERIALISABLE
    assert problem in outcome.error.message
    assert not runner.outstanding


def test_a_result_just_under_and_over_the_limit() -> None:
    """A result that fits is sent; one byte more becomes result_too_large (F64)."""
    runner = RunnerConnection(max_frame_bytes=500)
    room = 500 - len(response(ExecutionOutcome.success("j1", "r1", ""))) + 4
    outcomes = []
    for size in (room, room + 1):
        runner.receive(encode_frame(request_message()))
        outcomes.append(answered(runner.respond(ExecutionOutcome.success("j1", "r1", "x" * size))))
    fits, too_large = outcomes
    assert fits.result == "x" * room
    assert too_large.error == ExecutionError(
        "the result is too large: a frame of 501 bytes is over the limit of 500", type="result_too_large"
    )


@pytest.mark.parametrize(
    "error",
    [
        ExecutionError("x" * 100_000, type="ValueError", code="E7"),
        ExecutionError("x", type="ValueError", code="E7", details="y" * 100_000),
        ExecutionError("\ud800", type="ValueError", code="E7"),
        ExecutionError("x", type="ValueError", code="E7", details=object()),
        ExecutionError("x", type="ValueError", code="E7", details=float("nan")),
        ExecutionError(ValueError("x"), type="ValueError", code="E7"),  # type: ignore[arg-type]
    ],
    ids=["long", "long details", "surrogate", "details", "nan", "no text"],
)
@pytest.mark.parametrize("max_frame_bytes", [2000, 50_000])
def test_an_error_that_cannot_be_sent_keeps_its_kind(error: ExecutionError, max_frame_bytes: int) -> None:
    """An error too long or not serialisable is cut and cleaned; status, type, code and delay stay (F76)."""
    runner = RunnerConnection(max_frame_bytes=max_frame_bytes)
    runner.receive(encode_frame(request_message()))
    told = ExecutionOutcome(
        job_id="j1", request_id="r1", status=OutcomeStatus.RETRY, error=error, retry_after_seconds=7
    )
    outcome = answered(runner.respond(told))
    assert (outcome.status, outcome.retry_after_seconds) == (OutcomeStatus.RETRY, 7)
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.code, outcome.error.details) == ("ValueError", "E7", None)
    assert len(outcome.error.message) <= 17_000
    assert outcome.error.message.endswith(" [cut]") == (error.message == "x" * 100_000)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf")])
def test_an_impossible_delay_is_dropped(seconds: float) -> None:
    """A delay JSON cannot write does not keep the response from being sent."""
    runner = opened(("r1", "j1"))
    told = ExecutionOutcome(
        job_id="j1",
        request_id="r1",
        status=OutcomeStatus.RETRY,
        error=ExecutionError("x"),
        retry_after_seconds=seconds,
    )
    outcome = answered(runner.respond(told))
    assert (outcome.status, outcome.retry_after_seconds) == (OutcomeStatus.RETRY, None)
