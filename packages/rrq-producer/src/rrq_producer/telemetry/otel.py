"""Trace enqueues with OpenTelemetry; needs ``pip install "rrq-producer[otel]"``."""

from rrq_protocol.telemetry.otel import OtelTelemetry, enable, init_tracing

__all__ = ["OtelTelemetry", "enable", "init_tracing"]
