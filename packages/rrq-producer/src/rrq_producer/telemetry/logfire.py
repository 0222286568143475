"""Trace enqueues with Logfire; needs ``pip install "rrq-producer[logfire]"``."""

from rrq_protocol.telemetry.logfire import LogfireTelemetry, enable

__all__ = ["LogfireTelemetry", "enable"]
