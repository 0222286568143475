"""``rrq_runner.telemetry.otel`` is the way in that the documents name."""

import rrq_runner.telemetry
from rrq_protocol import telemetry
from rrq_protocol.telemetry import otel
from rrq_runner.telemetry.otel import OtelTelemetry, enable, init_tracing


def test_it_is_the_contracts() -> None:
    """One telemetry for all wheels of a process."""
    assert (OtelTelemetry, enable, init_tracing) == (otel.OtelTelemetry, otel.enable, otel.init_tracing)
    assert rrq_runner.telemetry.shutdown is telemetry.shutdown
