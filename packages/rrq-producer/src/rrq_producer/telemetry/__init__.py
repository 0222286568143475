"""Trace enqueues with OpenTelemetry, Datadog or Logfire: ``from rrq_producer.telemetry.otel import enable``.

Telemetry is a matter of the process, so one ``enable`` serves every wheel in it (docs/telemetry.md).
"""

from rrq_protocol.telemetry import Telemetry, TelemetryUnavailable, shutdown

__all__ = ["Telemetry", "TelemetryUnavailable", "shutdown"]
