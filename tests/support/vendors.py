"""What holds for each library that spans go to besides OpenTelemetry: Datadog's and Logfire's.

Each check runs a program in a process of its own, with the library itself; nothing leaves the machine.
"""

from dataclasses import dataclass
from typing import Any

from support.tracing import run_program

__all__ = ["DDTRACE", "LOGFIRE", "Vendor"]

_JOB = """
from datetime import UTC, datetime
from rrq_protocol import ExecutionContext, ExecutionOutcome, ExecutionRequest, Job
from rrq_protocol.telemetry import active, shutdown
from rrq_protocol.telemetry.LIBRARY import CLASS, enable

telemetry = enable(service_name="shop")
assert isinstance(telemetry, CLASS) and enable() is active() is telemetry

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
_HANDLERS = """
import asyncio
from datetime import UTC, datetime
from rrq_protocol import ExecutionContext, ExecutionRequest
from rrq_runner import Engine, Registry
from rrq_runner.telemetry.LIBRARY import enable

enable(WORD="shop")
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
_ENQUEUE = """
from rrq_producer import Producer
from rrq_producer.telemetry.LIBRARY import enable
import redis

url, prefix = sys.argv[1:]
enable(WORD="shop")
with Producer(url, key_prefix=prefix) as producer:
    job = producer.enqueue("pay")
with redis.Redis.from_url(url) as client:
    stored = json.loads(client.hget(f"{prefix}:job:{job.id}", "trace_context"))
print(json.dumps([stored, recorded()]))
"""


@dataclass(frozen=True)
class Vendor:
    """A library.

    Attributes:
        library: Its module, and that of ours for it.
        telemetry: Our class for it.
        word: What its own documents call the service's name.
        current: An expression for the id of the current span.
    """

    library: str
    telemetry: str
    word: str
    current: str

    def check_one_trace(self, *, lowest: bool) -> None:
        """Enqueue, two attempts and the handler hang together; the retry links to the attempt before it."""
        headers, spans = self._run(_JOB, lowest=lowest)
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

    def check_descriptions(self) -> None:
        """Service, status, error and attributes are told in the library's own terms."""
        _, spans = self._run(_JOB)
        (failed,) = (span for span in spans if span["tags"].get("rrq.attempt") == 1)
        (run,) = (span for span in spans if span["name"] == "rrq.runner")
        assert {span["service"] for span in spans} == {"shop"}
        assert [span["error"] for span in spans].count(True) == 1
        assert (failed["error"], failed["tags"]["error.type"]) == (True, "ValueError")
        assert run["tags"]["messaging.message.id"] == "j"
        assert run["tags"]["messaging.destination.name"] == "q"

    def check_handlers(self) -> None:
        """A handler's span is a child of the orchestrator's, current in coroutines and in threads."""
        seen, spans = self._run(_HANDLERS)
        assert seen == [span["id"] for span in spans]
        assert {(span["trace"], span["parent"], span["name"]) for span in spans} == {
            ("a" * 32, "b" * 16, "rrq.runner")
        }

    def check_enqueue(self, url: str, prefix: str) -> None:
        """The stored context of a job is the span's, in W3C form too, which other languages read."""
        stored, (span,) = self._run(_ENQUEUE, url, prefix)
        assert (span["name"], span["service"], span["tags"]["rrq.function"]) == ("rrq.enqueue", "shop", "pay")
        assert stored["traceparent"].split("-")[1:3] == [span["trace"], span["id"]]

    def _run(self, program: str, *arguments: str, lowest: bool = False) -> Any:
        words = {"LIBRARY": self.library, "CLASS": self.telemetry, "WORD": self.word, "CURRENT": self.current}
        for word, meaning in words.items():
            program = program.replace(word, meaning)
        return run_program(self.library, program, *arguments, lowest=lowest)


DDTRACE = Vendor("ddtrace", "DatadogTelemetry", "service", "tracer.current_span().span_id")
LOGFIRE = Vendor(
    "logfire",
    "LogfireTelemetry",
    "service_name",
    "__import__('opentelemetry.trace').trace.get_current_span().get_span_context().span_id",
)
