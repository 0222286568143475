"""Traces of jobs: one small interface, and adapters for OpenTelemetry, Datadog and Logfire.

Telemetry is a matter of the whole process: what one wheel switches on, the others in the same process use.
Importing this loads none of the three libraries; :mod:`rrq_protocol.telemetry.otel` and its siblings do.
"""

from rrq_protocol.telemetry.base import Attributes, AttributeValue, Kind, Span, Telemetry, correlated
from rrq_protocol.telemetry.headers import ALLOWED_HEADERS, propagated
from rrq_protocol.telemetry.state import (
    FLUSH_S,
    VARIABLE,
    TelemetryUnavailable,
    active,
    enable_from,
    enable_named,
    shutdown,
    use,
)

__all__ = [
    "ALLOWED_HEADERS",
    "AttributeValue",
    "Attributes",
    "FLUSH_S",
    "Kind",
    "Span",
    "Telemetry",
    "TelemetryUnavailable",
    "VARIABLE",
    "active",
    "correlated",
    "enable_from",
    "enable_named",
    "propagated",
    "shutdown",
    "use",
]
