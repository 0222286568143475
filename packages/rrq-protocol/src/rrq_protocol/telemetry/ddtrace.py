"""Datadog: spans through ddtrace's tracer, configured by the program or by ``DD_*`` as ever. Nothing is
patched.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ddtrace.propagation.http import HTTPPropagator
from ddtrace.trace import Context, tracer

from rrq_protocol.telemetry.base import Attributes, Kind, Telemetry
from rrq_protocol.telemetry.state import active, use

__all__ = ["DatadogTelemetry", "enable"]


class DatadogTelemetry(Telemetry):
    """Spans of ddtrace.

    Args:
        service: The service's name; None leaves it to ``DD_SERVICE``.
    """

    name: ClassVar[str] = "ddtrace"

    def __init__(self, service: str | None = None) -> None:
        super().__init__()
        self._service = service

    def _start(
        self,
        name: str,
        kind: Kind,
        parent: Mapping[str, str] | None,
        link: Mapping[str, str] | None,
        attributes: Attributes,
    ) -> Any:
        above: Any = tracer.context_provider.active() if parent is None else _extracted(parent)
        resource = str(attributes.get("rrq.function", name))
        span = tracer.start_span(
            name, child_of=above, service=self._service, resource=resource, span_type="worker", activate=False
        )
        span.set_tag("span.kind", kind)
        span.set_tag("component", "rrq")
        self._set(span, attributes)
        before = None if link is None else _extracted(link)
        if before is not None and before.trace_id and before.span_id:
            span.set_link(before.trace_id, before.span_id, attributes={"rrq.link": "previous_attempt"})
        return span

    def _headers(self, span: Any) -> Mapping[str, str]:
        headers: dict[str, str] = {}
        HTTPPropagator.inject(span, headers)
        return headers

    def _activate(self, span: Any) -> Callable[[], None]:
        before = tracer.context_provider.active()
        tracer.context_provider.activate(span)
        return lambda: _activate(before)

    def _set(self, span: Any, attributes: Attributes) -> None:
        for name, value in attributes.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                span.set_metric(name, value)
            else:
                span.set_tag(name, str(value))

    def _end(self, span: Any, error: str | None, error_type: str | None) -> None:
        if error is not None:
            span.error = 1
            span.set_tag("error.message", error)
        span.finish()

    def _shutdown(self, timeout_s: float) -> None:
        tracer.shutdown(timeout_s)


def enable(service: str | None = None, *, service_name: str | None = None) -> DatadogTelemetry:
    """Trace RRQ in this process with ddtrace.

    Only RRQ's own spans and their propagation; ``ddtrace.patch_all()`` and the tracer's configuration stay
    the program's.

    Args:
        service: The service's name of RRQ's spans, unless ``DD_SERVICE`` is set.
        service_name: The same.
    """
    current = active()
    if isinstance(current, DatadogTelemetry):
        return current
    named = None if os.environ.get("DD_SERVICE") else service or service_name
    telemetry = DatadogTelemetry(named)
    use(telemetry)
    return telemetry


def _activate(before: Any) -> None:
    tracer.context_provider.activate(before)


def _extracted(headers: Mapping[str, str]) -> Context | None:
    extract: Any = HTTPPropagator.extract  # untyped there
    context: Context = extract(dict(headers))
    return context if context.trace_id else None
