"""Trace handlers with Datadog; needs ``pip install "rrq-runner[ddtrace]"``."""

from rrq_protocol.telemetry.ddtrace import DatadogTelemetry, enable

__all__ = ["DatadogTelemetry", "enable"]
