"""Trace attempts with Logfire; needs ``pip install "rrq-orchestrator[logfire]"``."""

from rrq_protocol.telemetry.logfire import LogfireTelemetry, enable

__all__ = ["LogfireTelemetry", "enable"]
