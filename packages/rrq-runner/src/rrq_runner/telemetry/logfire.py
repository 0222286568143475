"""Trace handlers with Logfire; needs ``pip install "rrq-runner[logfire]"``."""

from rrq_protocol.telemetry.logfire import LogfireTelemetry, enable

__all__ = ["LogfireTelemetry", "enable"]
