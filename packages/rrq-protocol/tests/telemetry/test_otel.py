"""OpenTelemetry: whose provider is used, what its variables mean, and how long the end may take."""

import json
import subprocess
import sys
from typing import Any

import pytest

from support.otlp import Receiver

HEAD = """
import json, os, sys, time
from opentelemetry import trace
from rrq_protocol.telemetry import TelemetryUnavailable, active, shutdown
from rrq_protocol.telemetry.otel import OtelTelemetry, enable, init_tracing
"""


def run(program: str, **variables: str) -> Any:
    """Run a program in a process of its own, with these variables alone; return the JSON it prints."""
    import os

    ours = ("OTEL_", "RRQ_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    ended = subprocess.run(
        [sys.executable, "-c", HEAD + program],
        env={**clean, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout or "null")


@pytest.mark.parametrize(
    ("variables", "service"),
    [({}, "given"), ({"OTEL_SERVICE_NAME": "named"}, "named")],
    ids=["argument", "variable"],
)
def test_spans_arrive_at_the_end_of_a_process(variables: dict[str, str], service: str) -> None:
    """Without a provider of the program's, one is made: what it holds is sent at the end. The variable of
    the service's name outranks the argument.
    """
    with Receiver() as receiver:
        program = 'enable(service_name="given").job(None, {}).end()'
        run(program, OTEL_EXPORTER_OTLP_ENDPOINT=f"{receiver.url}/", **variables)
        (span,) = receiver.named("rrq.job")
    assert (span.service, span.path) == (service, "/v1/traces")


def test_a_programs_provider_is_used_and_left_alone() -> None:
    """Nothing is exported by us, and shutting telemetry down leaves the provider working."""
    program = """
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
enable("ignored").job(None, {}).end()
shutdown()
trace.get_tracer("mine").start_span("after").end()
print(json.dumps([span.name for span in exporter.get_finished_spans()]))
"""
    assert run(program) == ["rrq.job", "after"]


def test_enabling_twice_is_enabling_once() -> None:
    """A runner and a producer in one process may both do it."""
    program = 'print(json.dumps(enable("a") is init_tracing("b") is active()))'
    assert run(program, OTEL_TRACES_EXPORTER="none") is True


def test_the_sdk_can_be_switched_off() -> None:
    """OTEL_SDK_DISABLED: spans are begun and ended, nothing is recorded, nothing travels."""
    program = 'span = enable("a").job(None, {}); print(json.dumps(span.headers())); span.end()'
    assert run(program, OTEL_SDK_DISABLED="true") == {}


def test_a_context_that_cannot_be_read_begins_a_trace() -> None:
    """Junk in a stored trace context, and in a link, is no error."""
    program = """
span = enable("a").job({"traceparent": "junk"}, {}, previous="junk")
print(json.dumps([span._raw.parent is None, len(span._raw.links)]))
"""
    assert run(program, OTEL_TRACES_EXPORTER="none") == [True, 0]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER: expected otlp, console or none"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "expected http/protobuf or grpc, got 'http/json'"),
        (
            {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "carrier/pigeon",
            },
            "got 'carrier/pigeon'",
        ),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "pip install opentelemetry-exporter-otlp-proto-grpc",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(variables: dict[str, str], said: str) -> None:
    """A variable that means an exporter we have not is an error that names it; a signal's own one counts."""
    program = """
try:
    enable("a")
except TelemetryUnavailable as error:
    print(json.dumps(str(error)))
"""
    assert said in run(program, **variables)


def test_the_end_is_bounded() -> None:
    """A collector that never answers holds up the end of a process no longer than was said."""
    import socket

    program = """
telemetry = enable("a")
telemetry.job(None, {}).end()
begun = time.monotonic()
shutdown(0.2)
print(json.dumps(time.monotonic() - begun))
"""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        took_s = run(program, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_TIMEOUT="3600")
    assert took_s < 20  # the exporter alone would try for an hour, the SDK for 30 s
