"""``rrq_orchestrator.telemetry.otel`` is the way in that the documents name."""

import rrq_orchestrator.telemetry
from rrq_orchestrator.telemetry.otel import OtelTelemetry, enable, init_tracing
from rrq_protocol import telemetry
from rrq_protocol.telemetry import otel


def test_it_is_the_contracts() -> None:
    """One telemetry for all wheels of a process."""
    assert (OtelTelemetry, enable, init_tracing) == (otel.OtelTelemetry, otel.enable, otel.init_tracing)
    assert rrq_orchestrator.telemetry.shutdown is telemetry.shutdown
