"""OpenTelemetry: spans through its API; where the program has set up no SDK, one that exports OTLP.

Endpoints, headers, timeouts, sampling and limits are the SDK's own variables. In particular
``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`` is used as it stands and outranks ``OTEL_EXPORTER_OTLP_ENDPOINT``, to
which ``/v1/traces`` is added; the other variables have the same two forms.
"""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from rrq_protocol.telemetry.base import Attributes, Kind, Telemetry
from rrq_protocol.telemetry.state import TelemetryUnavailable, active, use

if TYPE_CHECKING:
    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["OtelTelemetry", "enable", "init_tracing"]

_KINDS: Mapping[Kind, SpanKind] = {
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
    "server": SpanKind.SERVER,
}


class OtelTelemetry(Telemetry):
    """Spans through the OpenTelemetry API.

    Args:
        tracer_provider: Makes the spans; by default the process's own.
        propagator: Reads and writes trace contexts; by default what ``OTEL_PROPAGATORS`` says, which is W3C
            ``traceparent``, ``tracestate`` and ``baggage``.
        flush: Called with seconds at the end; None where somebody else owns the provider.
    """

    name: ClassVar[str] = "otel"

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        *,
        propagator: "TextMapPropagator | None" = None,
        flush: Callable[[float], None] | None = None,
    ) -> None:
        super().__init__()
        self._tracer = trace.get_tracer("rrq", tracer_provider=tracer_provider)
        self._propagator = propagator or propagate.get_global_textmap()
        self._flush = flush

    def _start(
        self,
        name: str,
        kind: Kind,
        parent: Mapping[str, str] | None,
        link: Mapping[str, str] | None,
        attributes: Attributes,
    ) -> trace.Span:
        return self._tracer.start_span(
            name,
            context=None if parent is None else self._extract(parent),
            kind=_KINDS[kind],
            attributes=dict(attributes),
            links=self._links(link),
        )

    def _extract(self, headers: Mapping[str, str]) -> otel_context.Context:
        return self._propagator.extract(headers, context=otel_context.Context())

    def _links(self, headers: Mapping[str, str] | None) -> list[Link]:
        if headers is None:
            return []
        before = trace.get_current_span(self._extract(headers)).get_span_context()
        return [Link(before, {"rrq.link": "previous_attempt"})] if before.is_valid else []

    def _headers(self, span: trace.Span) -> Mapping[str, str]:
        headers: dict[str, str] = {}
        self._propagator.inject(headers, context=trace.set_span_in_context(span))
        return headers

    def _activate(self, span: trace.Span) -> Callable[[], None]:
        token = otel_context.attach(trace.set_span_in_context(span))
        return lambda: otel_context.detach(token)

    def _set(self, span: trace.Span, attributes: Attributes) -> None:
        span.set_attributes(dict(attributes))

    def _end(self, span: trace.Span, error: str | None, error_type: str | None) -> None:
        if error is not None:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end()

    def _shutdown(self, timeout_s: float) -> None:
        if self._flush is not None:
            self._flush(timeout_s)


def enable(
    service_name: str | None = None,
    *,
    service: str | None = None,
    tracer_provider: trace.TracerProvider | None = None,
) -> OtelTelemetry:
    """Trace RRQ in this process with OpenTelemetry.

    Where the program has set a tracer provider, that one is used, and stays the program's to shut down.
    Otherwise one is made from the ``OTEL_*`` variables and becomes the process's own.

    Args:
        service_name: ``service.name`` of a provider that is made here, unless ``OTEL_SERVICE_NAME`` is set.
        service: The same.
        tracer_provider: Use this one.

    Raises:
        TelemetryUnavailable: The SDK or an exporter is not installed, or a variable is wrong.
    """
    current = active()
    if tracer_provider is None and isinstance(current, OtelTelemetry):
        return current  # enabled twice, perhaps by two wheels
    flush = None
    if tracer_provider is None and isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        provider, flush = _make_provider(service_name or service or "rrq")
        trace.set_tracer_provider(provider)
    telemetry = OtelTelemetry(tracer_provider, flush=flush)
    use(telemetry)
    return telemetry


def init_tracing(service_name: str) -> OtelTelemetry:
    """Do what :func:`enable` does; the name of the other languages' runners."""
    return enable(service_name)


def _make_provider(service_name: str) -> "tuple[TracerProvider, Callable[[float], None] | None]":
    """Return a provider, and what flushes it, None if there is nothing to flush."""
    try:
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TelemetryUnavailable(
            [f'rrq.telemetry: no OpenTelemetry SDK ({error}); pip install "rrq-producer[otel]"']
        ) from error
    exporter = _make_exporter()
    resource = Resource.create({SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME") or service_name})
    # At the end of the process it is flushed by us, with a limit of time.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    if exporter is None:
        return provider, None
    processor = BatchSpanProcessor(exporter)
    provider.add_span_processor(processor)
    return provider, _flushing(processor)


def _make_exporter() -> "SpanExporter | None":
    kind = os.environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    if kind == "none":
        return None
    if kind == "console":
        import sys

        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter(out=sys.stderr)  # stdout may be a runner's connection
    if kind != "otlp":
        raise TelemetryUnavailable(
            [f"OTEL_TRACES_EXPORTER: expected otlp, console or none, got {kind!r:.80}"]
        )
    protocol = (
        os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or "http/protobuf"
    )
    module = _PROTOCOLS.get(protocol.strip())
    if module is None:
        known = " or ".join(_PROTOCOLS)
        raise TelemetryUnavailable([f"OTEL_EXPORTER_OTLP_PROTOCOL: expected {known}, got {protocol!r:.80}"])
    from importlib import import_module

    try:
        exporter: SpanExporter = import_module(f"{module}.trace_exporter").OTLPSpanExporter()
    except ImportError as error:
        wheel = module.replace(".", "-")
        raise TelemetryUnavailable([f"rrq.telemetry: {error}; pip install {wheel}"]) from error
    return exporter


_PROTOCOLS: Mapping[str, str] = {
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http",
    "grpc": "opentelemetry.exporter.otlp.proto.grpc",
}


def _flushing(processor: Any) -> Callable[[float], None]:
    """Return what shuts a batch processor of ours down within a time.

    The SDK's public way takes no limit and waits up to 30 s for a collector that is away. What is under it
    takes one, and has no public name.
    """

    def flush(timeout_s: float) -> None:
        batch = getattr(processor, "_batch_processor", None)
        if batch is None:
            processor.shutdown()
        else:
            batch.shutdown(timeout_millis=int(timeout_s * 1000))

    return flush
