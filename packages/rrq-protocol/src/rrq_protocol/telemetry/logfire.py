"""Logfire: spans through the OpenTelemetry API, on the provider that ``logfire.configure`` makes."""

from typing import ClassVar

import logfire
from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from rrq_protocol.telemetry.otel import OtelTelemetry
from rrq_protocol.telemetry.state import active, use

__all__ = ["LogfireTelemetry", "enable"]


class LogfireTelemetry(OtelTelemetry):
    """Spans of Logfire."""

    name: ClassVar[str] = "logfire"

    def __init__(self) -> None:
        # Logfire's global one warns of every trace that comes from elsewhere, which is the point here.
        propagator = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
        super().__init__(propagator=propagator, flush=_flush)


def enable(service_name: str | None = None, *, service: str | None = None) -> LogfireTelemetry:
    """Trace RRQ in this process with Logfire.

    Call ``logfire.configure(…)`` before. Where the program has not, it is done here, from Logfire's own
    variables: spans leave the machine only if a token is there, and nothing is printed.

    Args:
        service_name: The service's name in that case, unless ``LOGFIRE_SERVICE_NAME`` or
            ``OTEL_SERVICE_NAME`` is set.
        service: The same.
    """
    current = active()
    if isinstance(current, LogfireTelemetry):
        return current
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        import os

        named = os.environ.get("LOGFIRE_SERVICE_NAME") or os.environ.get("OTEL_SERVICE_NAME")
        logfire.configure(
            send_to_logfire="if-token-present",
            service_name=named or service_name or service or "rrq",
            console=False,
            distributed_tracing=True,
        )
    telemetry = LogfireTelemetry()
    use(telemetry)
    return telemetry


def _flush(timeout_s: float) -> None:
    logfire.shutdown(timeout_millis=int(timeout_s * 1000))
