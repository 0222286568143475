"""Spans in tests: recorded in memory by OpenTelemetry's SDK, or by another library in a process apart."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from rrq_protocol.telemetry import use
from rrq_protocol.telemetry.otel import OtelTelemetry
from support.environments import environment
from support.rules import PACKAGES

__all__ = ["PROGRAMS", "Recording", "hexadecimal", "recording", "run_program"]

WITHIN_S = 60.0


class Recording:
    """What was recorded.

    Attributes:
        telemetry: What records.
    """

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        # Nothing of the process: another test's provider, or none, makes no difference.
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.telemetry = OtelTelemetry(self.provider)

    def spans(self, name: str) -> list[ReadableSpan]:
        """Return the spans of a name that have ended."""
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """Return the only span of a name."""
        (span,) = self.spans(name)
        return span


@contextmanager
def recording() -> Iterator[Recording]:
    """Switch telemetry on for this process, into memory; off again at the end."""
    recorded = Recording()
    use(recorded.telemetry)
    try:
        yield recorded
    finally:
        use(None)


def hexadecimal(span: ReadableSpan) -> str:
    """Return a span's ``traceparent``, without version and flags."""
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}-{context.span_id:016x}"


def run_program(library: str, program: str, *arguments: str, lowest: bool = False) -> Any:
    """Run a program in a process of its own, with a library that records spans; return the JSON it prints.

    Where the library is not installed, that takes a strict run (``RRQ_TEST_STRICT=1``).

    The program calls ``recorded()`` for the spans that have ended: name, trace, id, parent, service, error,
    tags and links, ids in hexadecimal.
    """
    ours = ("DD_", "LOGFIRE_", "OTEL_", "RRQ_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    quiet = {"DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_REMOTE_CONFIGURATION_ENABLED": "false"}
    ended = subprocess.run(
        [_python(library, lowest), "-c", PROGRAMS[library] + program, *arguments],
        env={**clean, **quiet},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def _python(library: str, lowest: bool) -> str:
    """Return an interpreter that has the library. The environment of the tests does not: both bring plugins
    that pytest would load for every test, and one of them starts threads.
    """
    if importlib.util.find_spec(library) is not None:
        return sys.executable
    return environment(library, _requirements(), lowest=lowest)


def _requirements() -> list[str]:
    wheels = [f"{PACKAGES}/rrq-{name}" for name in ("protocol", "runner", "orchestrator")]
    wheels.append(f"{PACKAGES}/rrq-producer[ddtrace,logfire]")
    return [part for wheel in wheels for part in ("--editable", wheel)]


PROGRAMS = {
    "ddtrace": """
import json, sys
from ddtrace.trace import TraceFilter, tracer

kept = []

class Keep(TraceFilter):
    def process_trace(self, trace):
        kept.extend(trace)  # and nothing is sent anywhere

tracer.configure(trace_processors=[Keep()])

def links_of(span):
    return span._get_links() if hasattr(span, "_get_links") else span._links

def recorded():
    return [
        {
            "name": span.name, "trace": f"{span.trace_id:032x}", "id": f"{span.span_id:016x}",
            "parent": f"{span.parent_id or 0:016x}", "service": span.service, "error": bool(span.error),
            "tags": {**span.get_tags(), **span.get_metrics()},
            "links": [f"{link.span_id:016x}" for link in links_of(span)],
        }
        for span in kept
    ]
""",
    "logfire": """
import json, sys
import logfire
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
logfire.configure(
    send_to_logfire=False, console=False, service_name="shop",
    additional_span_processors=[SimpleSpanProcessor(exporter)],
)

def recorded():
    return [
        {
            "name": span.name, "trace": f"{span.context.trace_id:032x}", "id": f"{span.context.span_id:016x}",
            "parent": f"{span.parent.span_id if span.parent else 0:016x}",
            "service": span.resource.attributes["service.name"],
            "error": span.status.status_code.name == "ERROR",
            "tags": dict(span.attributes),
            "links": [f"{link.context.span_id:016x}" for link in span.links],
        }
        for span in exporter.get_finished_spans()
        if span.attributes.get("logfire.span_type") != "pending_span"
    ]
""",
}
