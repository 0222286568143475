"""Handlers traced with ddtrace itself, in a process of its own."""

from support.tracing import run_program

CURRENT = {
    "ddtrace": "tracer.current_span().span_id",
    "logfire": "__import__('opentelemetry.trace').trace.get_current_span().get_span_context().span_id",
}
PROGRAM = """
import asyncio
from datetime import UTC, datetime
from rrq_protocol import ExecutionContext, ExecutionRequest
from rrq_runner import Engine, Registry
from rrq_runner.telemetry.ddtrace import enable

enable(service="shop")
registry = Registry()

@registry.handler
async def asynchronous():
    await asyncio.sleep(0)
    return f"{CURRENT:016x}"

@registry.handler
def plain():
    return f"{CURRENT:016x}"

async def main():
    engine = Engine(registry)
    seen = []
    for name in ("asynchronous", "plain"):
        context = ExecutionContext(
            job_id=name, attempt=1, enqueue_time=datetime.now(UTC), queue_name="q",
            trace_context={"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"},
        )
        request = ExecutionRequest(request_id=name, job_id=name, function_name=name, context=context)
        seen.append((await engine.execute(request)).result)
    await engine.stop(1, 1)
    return seen

print(json.dumps([asyncio.run(main()), recorded()]))
"""


def test_handlers_run_in_their_span() -> None:
    """A child of the orchestrator's, current in coroutines and in threads."""
    seen, spans = run_program("ddtrace", PROGRAM.replace("CURRENT", CURRENT["ddtrace"]))
    assert seen == [span["id"] for span in spans]
    assert {(span["trace"], span["parent"], span["name"]) for span in spans} == {
        ("a" * 32, "b" * 16, "rrq.runner")
    }
