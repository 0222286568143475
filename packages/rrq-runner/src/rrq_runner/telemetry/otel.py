"""Trace handlers with OpenTelemetry; needs ``pip install "rrq-runner[otel]"``."""

from rrq_protocol.telemetry.otel import OtelTelemetry, enable, init_tracing

__all__ = ["OtelTelemetry", "enable", "init_tracing"]
