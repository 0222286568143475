"""Trace attempts with Datadog; needs ``pip install "rrq-orchestrator[ddtrace]"``."""

from rrq_protocol.telemetry.ddtrace import DatadogTelemetry, enable

__all__ = ["DatadogTelemetry", "enable"]
