"""Trace enqueues with Datadog; needs ``pip install "rrq-producer[ddtrace]"``."""

from rrq_protocol.telemetry.ddtrace import DatadogTelemetry, enable

__all__ = ["DatadogTelemetry", "enable"]
