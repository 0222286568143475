"""The spans of a job in logfire itself, in a process of its own; nothing leaves the machine."""

import pytest

from support.tracing import run_program

PROGRAM = """
from datetime import UTC, datetime
from rrq_protocol import ExecutionContext, ExecutionOutcome, ExecutionRequest, Job
from rrq_protocol.telemetry import active, shutdown
from rrq_protocol.telemetry.logfire import LogfireTelemetry, enable

telemetry = enable(service_name="shop")
assert isinstance(telemetry, LogfireTelemetry) and enable() is active() is telemetry

enqueued = telemetry.enqueue([Job("pay")], "default")
leave = enqueued.activate()
inner = telemetry.enqueue([Job("inner")], "default")
inner.end()
leave()
first = telemetry.job(enqueued.headers(), {"rrq.function": "pay", "rrq.attempt": 1})
before = first.headers()
first.end("ValueError: boom", "ValueError")
second = telemetry.job(enqueued.headers(), {"rrq.attempt": 2}, before["traceparent"])
context = ExecutionContext(
    job_id="j", attempt=2, enqueue_time=datetime.now(UTC), queue_name="q", trace_context=second.headers()
)
request = ExecutionRequest(request_id="r", job_id="j", function_name="pay", context=context)
run = telemetry.runner(request)
run.end_with(ExecutionOutcome.success("j", "r", None))
second.end()
enqueued.end()
spans = recorded()
shutdown(0.1)
print(json.dumps([before, spans]))
"""


@pytest.mark.parametrize("lowest", [False, True], ids=["newest", "lowest"])
def test_a_job_is_one_trace(lowest: bool) -> None:
    """Enqueue, two attempts and the handler hang together; the retry links to the attempt before it."""
    headers, spans = run_program("logfire", PROGRAM, lowest=lowest)
    by_name = {(span["name"], span["tags"].get("rrq.attempt")): span for span in spans}
    inner, enqueued = sorted(
        (span for span in spans if span["name"] == "rrq.enqueue"),
        key=lambda span: span["tags"]["rrq.function"],
    )
    first, second = by_name["rrq.job", 1], by_name["rrq.job", 2]
    run = by_name["rrq.runner", 2]
    assert {span["trace"] for span in spans} == {enqueued["trace"]}
    assert [each["parent"] for each in (inner, first, second)] == [enqueued["id"]] * 3
    assert run["parent"] == second["id"]
    assert (first["links"], second["links"]) == ([], [first["id"]])
    assert headers["traceparent"].split("-")[1:3] == [first["trace"], first["id"]]


def test_spans_are_described() -> None:
    """Service, status, error and attributes, in the library's own terms."""
    _, spans = run_program("logfire", PROGRAM)
    (failed,) = (span for span in spans if span["tags"].get("rrq.attempt") == 1)
    (run,) = (span for span in spans if span["name"] == "rrq.runner")
    assert {span["service"] for span in spans} == {"shop"}
    assert [span["error"] for span in spans].count(True) == 1
    assert (failed["error"], failed["tags"]["error.type"]) == (True, "ValueError")
    assert run["tags"]["messaging.message.id"] == "j"
    assert run["tags"]["messaging.destination.name"] == "q"
