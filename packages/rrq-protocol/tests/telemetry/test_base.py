"""What a job's spans say, and that no defect of a library harms a job."""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

import pytest
from opentelemetry.trace import StatusCode

from rrq_protocol import (
    ExecutionContext,
    ExecutionError,
    ExecutionOutcome,
    ExecutionRequest,
    Job,
    OutcomeStatus,
)
from rrq_protocol.telemetry import Attributes, Kind, Telemetry, correlated
from support.tracing import Recording, hexadecimal, recording


class Broken(Telemetry):
    """A library in which nothing works, from the given method on."""

    name = "broken"

    def __init__(self, works: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self._works = works

    def _do(self, what: str) -> Any:
        if what not in self._works:
            raise ZeroDivisionError(what)
        return {}

    def _start(
        self,
        name: str,
        kind: Kind,
        parent: Mapping[str, str] | None,
        link: Mapping[str, str] | None,
        attributes: Attributes,
    ) -> Any:
        return self._do("start")

    def _headers(self, span: Any) -> Mapping[str, str]:
        headers: Mapping[str, str] = self._do("headers")
        return headers

    def _activate(self, span: Any) -> Callable[[], None]:
        return self._fail

    def _fail(self) -> NoReturn:
        raise ZeroDivisionError

    def _set(self, span: Any, attributes: Attributes) -> None:
        self._do("set")

    def _end(self, span: Any, error: str | None, error_type: str | None) -> None:
        self._do("end")

    def _shutdown(self, timeout_s: float) -> None:
        self._do("shutdown")


def request(**context: Any) -> ExecutionRequest:
    """Return a request for a runner."""
    given = ExecutionContext(
        job_id="j", attempt=2, enqueue_time=datetime.now(UTC), queue_name="mail", **context
    )
    return ExecutionRequest(request_id="r", job_id="j", function_name="send", context=given)


@pytest.mark.parametrize("works", [frozenset(), frozenset({"start"})], ids=["start", "all else"])
def test_a_broken_library_is_told_of_once(works: frozenset[str], caplog: pytest.LogCaptureFixture) -> None:
    """Whatever raises, the caller goes on, and the log has one line."""
    telemetry = Broken(works)
    with caplog.at_level(logging.WARNING):
        for span in (telemetry.enqueue([Job("f")], "default"), telemetry.job(None, {})):
            leave = span.activate()
            assert span.headers() == {}
            span.set({"a": 1})
            span.end("boom", "ValueError")
            leave()
        telemetry.runner(request()).end_with(ExecutionOutcome.success("j", "r", None))
        telemetry.shutdown(1.0)
    (line,) = caplog.messages
    assert "library=broken" in line
    assert "ZeroDivisionError" in line


def test_an_enqueue_of_many_counts_them() -> None:
    """One span; the queue is named if it is the same for all, and what is no job is only counted."""
    recorded = Recording()
    recorded.telemetry.enqueue([Job("f"), Job("g", queue_name="q")], "q").end()
    recorded.telemetry.enqueue([Job("f"), Job("g", queue_name="q"), 7], "default").end()
    same, mixed = recorded.spans("rrq.enqueue")
    assert same.attributes == {
        "messaging.system": "rrq",
        "messaging.operation.type": "send",
        "messaging.operation.name": "enqueue",
        "messaging.batch.message_count": 2,
        "messaging.destination.name": "q",
    }
    assert mixed.attributes is not None
    assert mixed.attributes["messaging.batch.message_count"] == 3
    assert "messaging.destination.name" not in mixed.attributes


def test_a_runners_span_is_a_child_of_the_attempt() -> None:
    """Whatever is current in the runner; without a trace context it begins a trace."""
    recorded = Recording()
    attempt = recorded.telemetry.job(None, {})
    leave = recorded.telemetry.job(None, {}).activate()
    recorded.telemetry.runner(request(trace_context=attempt.headers())).end()
    recorded.telemetry.runner(request()).end()
    leave()
    attempt.end()
    child, root = recorded.spans("rrq.runner")
    assert child.parent is not None
    assert f"{child.parent.trace_id:032x}-{child.parent.span_id:016x}" == hexadecimal(recorded.one("rrq.job"))
    assert root.parent is None
    assert child.attributes is not None
    assert (child.attributes["rrq.attempt"], child.attributes["messaging.message.id"]) == (2, "j")


RETRIED = ExecutionOutcome(status=OutcomeStatus.RETRY, error=ExecutionError("boom", type="ValueError"))


@pytest.mark.parametrize(
    ("outcome", "status", "error_type"),
    [
        (ExecutionOutcome.success("j", "r", 1), StatusCode.UNSET, None),
        (ExecutionOutcome.retry_after("j", "r", "limited", 5), StatusCode.UNSET, None),
        (ExecutionOutcome.failure("j", "r", "boom", type="ValueError"), StatusCode.ERROR, "ValueError"),
        (RETRIED, StatusCode.ERROR, "ValueError"),
        (ExecutionOutcome.timeout("j", "r"), StatusCode.ERROR, "timeout"),
    ],
)
def test_an_outcome_decides_the_status(
    outcome: ExecutionOutcome, status: StatusCode, error_type: str | None
) -> None:
    """Errors are failed spans with the error's type; a retry that was asked for is none, one after an
    exception is.
    """
    recorded = Recording()
    recorded.telemetry.runner(request()).end_with(outcome)
    span = recorded.one("rrq.runner")
    assert span.status.status_code is status
    assert span.attributes is not None
    assert span.attributes.get("error.type") == error_type
    assert span.attributes["rrq.outcome"] == outcome.status


def test_a_correlation_context_is_bounded() -> None:
    """So many entries, names of a length, values cut; our own attributes cannot be replaced."""
    assert correlated(None) == {}
    assert correlated({"a": "x" * 300, "": "y", "n" * 129: "z"}) == {"a": "x" * 256}
    assert len(correlated({f"k{number}": "v" for number in range(40)})) == 32
    recorded = Recording()
    recorded.telemetry.runner(request(correlation_context={"messaging.system": "forged", "order": "7"})).end()
    attributes = recorded.one("rrq.runner").attributes
    assert attributes is not None
    assert (attributes["messaging.system"], attributes["order"]) == ("rrq", "7")


def test_an_ended_span_does_nothing() -> None:
    """Ending twice records one span."""
    with recording() as recorded:
        span = recorded.telemetry.job(None, {})
        span.end()
        span.end("boom")
        span.set({"late": 1})
        assert span.headers() == {}
    assert recorded.one("rrq.job").status.status_code is StatusCode.UNSET
