"""What this process traces with: nothing, until somebody switches it on."""

import atexit
from collections.abc import Mapping
from importlib import import_module
from typing import Final

from rrq_protocol.errors import SettingsError
from rrq_protocol.telemetry.base import Telemetry

__all__ = [
    "FLUSH_S",
    "VARIABLE",
    "TelemetryUnavailable",
    "active",
    "enable_from",
    "enable_named",
    "shutdown",
    "use",
]

VARIABLE: Final = "RRQ_TELEMETRY"
FLUSH_S: Final = 2.0
"""How long the end of a process may be held up by spans that cannot be delivered."""

_OFF: Final = frozenset({"", "off"})
_KNOWN: Final = ("otel", "ddtrace", "logfire")

_active: Telemetry | None = None
_registered = False


class TelemetryUnavailable(SettingsError):
    """Telemetry was asked for, and cannot be had: its library is missing, or a variable is wrong."""


def active() -> Telemetry | None:
    """Return what this process traces with, None while telemetry is off."""
    return _active


def use(telemetry: Telemetry | None) -> None:
    """Trace with this from now on; None switches it off. Orchestrators notice when they are made."""
    global _active, _registered
    if not _registered:
        _registered = True
        atexit.register(shutdown)
    _active = telemetry


def enable_named(name: str, service_name: str) -> Telemetry | None:
    """Switch on the telemetry called ``otel``, ``ddtrace`` or ``logfire``; ``off`` and an empty name do
    nothing, and what is on stays on.

    Args:
        name: The library, as in the setting ``telemetry``.
        service_name: What this process is called unless the library's own variables say otherwise.

    Raises:
        TelemetryUnavailable: There is no such library, or it is not installed.
    """
    if name in _OFF or _active is not None:
        return _active
    if name not in _KNOWN:
        raise TelemetryUnavailable([f"rrq.telemetry: expected off, {', '.join(_KNOWN)}, got {name!r:.80}"])
    try:
        module = import_module(f"rrq_protocol.telemetry.{name}")
    except ImportError as error:
        extra = f'pip install "rrq-producer[{name}]" (rrq-orchestrator, rrq-runner: the same extra)'
        raise TelemetryUnavailable(
            [f"rrq.telemetry: {name} cannot be imported ({error}); {extra}"]
        ) from error
    module.enable(service_name=service_name)
    return _active


def enable_from(environ: Mapping[str, str], service_name: str) -> Telemetry | None:
    """Switch on what ``RRQ_TELEMETRY`` names; see :func:`enable_named`."""
    return enable_named(environ.get(VARIABLE, ""), service_name)


def shutdown(timeout_s: float = FLUSH_S) -> None:
    """Send what waits, for at most about ``timeout_s``, and switch telemetry off. Without telemetry nothing
    happens.
    """
    global _active
    telemetry, _active = _active, None
    if telemetry is not None:
        telemetry.shutdown(timeout_s)
