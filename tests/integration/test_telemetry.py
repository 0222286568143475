"""One trace through three processes, the last in Python or Node, seen by a collector on loopback; and a
collector that is away.
"""

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from rrq_protocol import JobStatus, Keyspace
from support.languages import LANGUAGES, Unbuilt, built
from support.otlp import Received, Receiver
from support.processes import run_module
from support.redis_servers import RedisServer
from support.road import Road

HANDLERS = """
from opentelemetry import trace
from rrq_runner import Context, Registry, RunnerSettings

registry = Registry()
tracer = trace.get_tracer("shop")


@registry.handler
async def pay(ctx: Context, order: dict[str, int], succeeds_on: int = 1) -> str:
    with tracer.start_as_current_span("charge card"):
        if ctx.attempt < succeeds_on:
            raise ConnectionError("the bank is away")
    return ctx.trace_context["traceparent"]


@registry.handler
def plain(ctx: Context) -> str:
    with tracer.start_as_current_span("in a thread"):
        return "done"


settings = RunnerSettings(registry=registry)
"""

# Answers with its own traceparent, which it would send along with a call to another service.
NODE_HANDLERS = """
import { RetryJob, serve } from '%s/runner.mjs';

serve({
  async pay({ succeeds_on = 1 }, { attempt, trace_context }) {
    if (attempt < succeeds_on) throw new RangeError('the bank is away');
    return trace_context;
  },
  async later(params, { attempt, trace_context }) {
    if (attempt < 2) throw new RetryJob('not yet', 0);
    return trace_context;
  },
});
"""

# A web application with an SDK of its own, as most have.
WEB = """
import json, sys
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from rrq_producer import Producer
from rrq_producer.telemetry.otel import enable

provider = TracerProvider(resource=Resource.create({"service.name": "web"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
enable(service_name="not used")
url, prefix, function, params = sys.argv[1:]
with Producer(url, key_prefix=prefix) as producer:
    with trace.get_tracer("web").start_as_current_span("POST /orders"):
        job = producer.enqueue(function, json.loads(params))
    print(job.id)
"""
UNSET, ERROR = 0, 2
SERVER, PRODUCER, CONSUMER = 2, 4, 5


@pytest.fixture(autouse=True)
def clean_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let none of the caller's variables decide where traces go; send soon."""
    import os

    for name in [name for name in os.environ if name.startswith(("OTEL_", "DD_", "LOGFIRE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """Serve a collector, which every process started from here is told of."""
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        yield receiver


@pytest.fixture
def road(redis_server: RedisServer, keyspace: Keyspace) -> Iterator[Road]:
    """Serve a folder whose rrq.toml switches telemetry on."""
    with Road(redis_server.url, keyspace) as road:
        (road.folder / "traced.py").write_text(HANDLERS)
        (road.folder / "web.py").write_text(WEB)
        configure(road)
        yield road
        road.assert_nothing_left()


def configure(road: Road) -> None:
    """Write the rrq.toml of these tests."""
    road.configure(
        {"python": {"app": "traced:settings", "pool_size": 1}},
        telemetry="otel",
        correlation_mappings={"order_id": "order.id"},
    )


def configure_node(road: Road) -> None:
    """The same, with a runner in Node, which has time to deliver its last spans."""
    try:
        built("node")
    except Unbuilt as error:
        pytest.skip(str(error))
    (road.folder / "traced.mjs").write_text(NODE_HANDLERS % LANGUAGES["node"].folder)
    road.configure(
        {"node": {"cmd": ["node", "traced.mjs"], "pool_size": 1}},
        default_runner_name="node",
        telemetry="otel",
        correlation_mappings={"order_id": "order.id"},
        runner_shutdown_term_grace_seconds=300.0,
    )


def enqueue(road: Road, function: str, params: dict[str, object]) -> str:
    """Enqueue a job from the web application; return its id."""
    ended = run_module("web", road.url, road.keyspace.prefix, function, json.dumps(params), cwd=road.folder)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def one(spans: list[Received]) -> Received:
    """Return the only span."""
    (span,) = spans
    return span


def test_one_trace_from_the_request_to_the_handler(road: Road, collector: Receiver) -> None:
    """A retried job: the request, the enqueue, both attempts with their runners and what the handler did are
    one tree; the second attempt links to the first.
    """
    with road.running():
        job_id = enqueue(road, "pay", {"order": {"id": 7}, "succeeds_on": 2})
        result = road.result(job_id)
    assert result.status is JobStatus.COMPLETED
    request, enqueued = one(collector.named("POST /orders")), one(collector.named("rrq.enqueue"))
    first, second = sorted(collector.named("rrq.job", 2), key=lambda span: span.attributes["rrq.attempt"])
    runs = sorted(collector.named("rrq.runner", 2), key=lambda span: span.attributes["rrq.attempt"])
    charges = collector.named("charge card", 2)
    assert {span.trace_id for span in collector.spans} == {request.trace_id}
    assert enqueued.parent_id == request.span_id
    assert (first.parent_id, second.parent_id) == (enqueued.span_id, enqueued.span_id)
    assert [run.parent_id for run in runs] == [first.span_id, second.span_id]
    assert {charge.parent_id for charge in charges} == {run.span_id for run in runs}
    assert (first.links, second.links) == ((), (first.span_id,))
    assert result.result.startswith(f"00-{request.trace_id}-{second.span_id}-")
    services = [span.service for span in (request, enqueued, first, runs[0], charges[0])]
    assert services == ["web", "web", "rrq-orchestrator", "rrq-runner", "rrq-runner"]
    assert [enqueued.kind, first.kind, runs[0].kind] == [PRODUCER, CONSUMER, SERVER]


def test_one_trace_through_a_runner_in_node(
    road: Road, collector: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request, the enqueue, both attempts and what ran them in Node are one tree, though the runner has
    its ``cmd`` and no more; the handler is given its own span to pass on. All is delivered at the end.
    """
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
    configure_node(road)
    with road.running():
        job_id = enqueue(road, "pay", {"order": {"id": 7}, "succeeds_on": 2})
        result = road.result(job_id)
    request, enqueued = one(collector.named("POST /orders")), one(collector.named("rrq.enqueue"))
    attempts = sorted(collector.named("rrq.job", 2), key=lambda span: span.attributes["rrq.attempt"])
    failed, succeeded = sorted(
        collector.named("rrq.runner", 2), key=lambda span: span.attributes["rrq.attempt"]
    )
    assert {span.trace_id for span in collector.spans} == {request.trace_id}
    assert enqueued.parent_id == request.span_id
    assert {attempt.parent_id for attempt in attempts} == {enqueued.span_id}
    assert [failed.parent_id, succeeded.parent_id] == [attempt.span_id for attempt in attempts]
    assert result.result == {"traceparent": f"00-{request.trace_id}-{succeeded.span_id}-01"}
    assert (succeeded.service, succeeded.kind, succeeded.status) == ("rrq-runner", SERVER, UNSET)
    assert (failed.status, failed.message) == (ERROR, "the bank is away")
    assert failed.attributes == {
        "messaging.system": "rrq",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": "default",
        "messaging.message.id": job_id,
        "order_id": "7",
        "rrq.function": "pay",
        "rrq.attempt": 1,
        "rrq.outcome": "error",
        "error.type": "RangeError",
    }


def test_a_runner_in_node_keeps_to_what_the_trace_says(
    road: Road, collector: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without telemetry in the orchestrator it continues the job's own trace; ``tracestate`` goes along, a
    trace that is not recorded stays so, and of nonsense it begins another one.
    """
    configure_node(road)
    endpoint = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/as/it/stands"}
    runner = {"cmd": ["node", "traced.mjs"], "pool_size": 1, "env": {"OTEL_SERVICE_NAME": "shop", **endpoint}}
    road.configure({"node": runner}, default_runner_name="node", runner_shutdown_term_grace_seconds=300.0)
    trace = "a" * 32
    contexts = [
        {"traceparent": f"00-{trace}-{'b' * 16}-01", "tracestate": "shop=1", "baggage": "k=v"},
        {"traceparent": f"00-{trace}-{'b' * 16}-00"},
        {"traceparent": f"00-{'0' * 32}-{'b' * 16}-01", "tracestate": "shop=1"},
    ]
    with road.running():
        jobs = [road.producer.enqueue("later", trace_context=context) for context in contexts]
        kept, unrecorded, begun = [each.result for each in road.results(jobs)]
    spans = collector.named("rrq.runner", 4)
    assert {(span.service, span.path, span.status) for span in spans} == {("shop", "/as/it/stands", UNSET)}
    assert sorted(span.attributes["rrq.outcome"] for span in spans) == ["retry"] * 2 + ["success"] * 2
    of = {span.span_id: span for span in spans}
    last = of[kept["traceparent"].split("-")[2]]
    assert kept == {**contexts[0], "traceparent": f"00-{trace}-{last.span_id}-01"}
    assert last.parent_id == "b" * 16
    assert unrecorded["traceparent"].startswith(f"00-{trace}-")
    assert unrecorded["traceparent"].endswith("-00")
    fresh = of[begun["traceparent"].split("-")[2]]
    assert (fresh.parent_id, set(begun)) == ("", {"traceparent"})
    assert fresh.trace_id not in {trace, "0" * 32}


def test_spans_say_what_a_job_is_and_became(road: Road, collector: Receiver) -> None:
    """Messaging attributes, our own, the mapped value of the params, and the status of each attempt."""
    with road.running():
        job_id = enqueue(road, "pay", {"order": {"id": 7}, "succeeds_on": 2})
        road.result(job_id)
    first, second = sorted(collector.named("rrq.job", 2), key=lambda span: span.attributes["rrq.attempt"])
    assert first.attributes == {
        "messaging.system": "rrq",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": "default",
        "messaging.message.id": job_id,
        "order_id": "7",
        "rrq.function": "pay",
        "rrq.attempt": 1,
        "rrq.runner": "python",
        "rrq.worker_id": first.attributes["rrq.worker_id"],
        "rrq.outcome": "retry",
        "rrq.retry_delay_s": first.attributes["rrq.retry_delay_s"],
        "error.type": "ConnectionError",
    }
    assert (first.status, first.message) == (ERROR, "ConnectionError: the bank is away")
    assert (second.status, second.attributes["rrq.outcome"]) == (UNSET, "complete")
    failed, succeeded = sorted(
        collector.named("rrq.runner", 2), key=lambda span: span.attributes["rrq.attempt"]
    )
    assert (failed.status, failed.attributes["order_id"]) == (ERROR, "7")
    assert (failed.attributes["rrq.outcome"], succeeded.attributes["rrq.outcome"]) == ("error", "success")
    assert one(collector.named("rrq.enqueue")).attributes["messaging.message.id"] == job_id


def test_a_plain_function_is_traced_in_its_thread(road: Road, collector: Receiver) -> None:
    """What it does is a child of its span too; a job without a trace begins one."""
    with road.running():
        job = road.producer.enqueue("plain")
        assert road.result(job.id).result == "done"
    attempt, run = one(collector.named("rrq.job")), one(collector.named("rrq.runner"))
    assert (attempt.parent_id, run.parent_id) == ("", attempt.span_id)
    assert one(collector.named("in a thread")).parent_id == run.span_id


def test_a_signals_own_endpoint_outranks_the_common_one(
    road: Road, collector: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is used as it stands; to the common one the path is added."""
    with Receiver() as special, road.running():
        job_id = enqueue(road, "plain", {})  # the web application still has the common one
        road.result(job_id)
        assert one(collector.named("rrq.enqueue")).path == "/v1/traces"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{special.url}/special/path")
        enqueue(road, "plain", {})
        assert one(special.named("rrq.enqueue")).path == "/special/path"
    assert len(collector.named("rrq.enqueue")) == 1


@pytest.mark.parametrize("away", ["refuses", "is silent"])
@pytest.mark.parametrize("language", ["python", "node"])
def test_a_collector_that_is_away_harms_nothing(
    road: Road, monkeypatch: pytest.MonkeyPatch, language: str, away: str
) -> None:
    """Jobs succeed, and both processes end in order, well before the exporter would have given up."""
    if language == "node":
        configure_node(road)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        if away == "refuses":
            silent.close()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{host}:{port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000")
        with road.start() as daemon:
            road.ready(daemon)
            jobs = [road.producer.enqueue("pay", {"order": {}}) for _ in range(20)]
            assert {each.status for each in road.results(jobs)} == {JobStatus.COMPLETED}
            daemon.kill(signal.SIGTERM)
            assert daemon.code() == 0, daemon.lines


def test_telemetry_is_off_by_default(road: Road, collector: Receiver) -> None:
    """A collector in the environment alone switches nothing on."""
    road.configure({"python": {"app": "traced:settings", "pool_size": 1}})
    with road.running():
        job = road.producer.enqueue("plain")
        assert road.result(job.id).result == "done"
    assert "trace" not in (road.record(job.id).trace_context or "")
    assert collector.spans == []


def test_a_runner_of_ones_own_is_traced_by_its_variable(
    road: Road, collector: Receiver, tmp_path: Path
) -> None:
    """``init_tracing`` and ``run_tcp_with``: what the other languages' runners do works in Python."""
    (road.folder / "own.py").write_text(
        HANDLERS
        + """
if __name__ == "__main__":
    import sys
    from rrq_runner import RunnerRuntime, parse_tcp_socket
    from rrq_runner.telemetry.otel import OtelTelemetry, init_tracing

    init_tracing("my-runner")
    address = parse_tcp_socket(sys.argv[sys.argv.index("--tcp-socket") + 1])
    RunnerRuntime().run_tcp_with(registry, address, OtelTelemetry)
"""
    )
    import sys

    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
    road.configure(
        {"python": {"cmd": [sys.executable, "own.py"], "tcp_port": 0, "pool_size": 1, "env": endpoint}}
    )
    with road.running():
        job = road.producer.enqueue("plain", trace_context={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
        assert road.result(job.id).result == "done"
    run = one(collector.named("rrq.runner"))
    assert (run.service, run.trace_id, run.parent_id) == ("my-runner", "a" * 32, "b" * 16)
    assert one(collector.named("in a thread")).parent_id == run.span_id
