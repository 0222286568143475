"""Names and call styles of earlier versions, kept for the programs that use them."""

from typing import Any

from rrq_protocol import Settings, SettingsError, TcpEndpoint, parse_tcp_socket
from rrq_protocol.telemetry import Telemetry, active, use
from rrq_runner.registry import JobRegistry, Registry
from rrq_runner.runtime import run
from rrq_runner.settings import RunnerSettings

__all__ = [
    "JobRegistry",
    "PythonExecutorSettings",
    "PythonRunnerSettings",
    "RunnerRuntime",
    "parse_tcp_socket",
    "run_tcp",
]


class PythonRunnerSettings(RunnerSettings):
    """:class:`RunnerSettings` under its earlier name, with its earlier arguments.

    Args:
        registry: The handlers; ``job_registry`` means the same.
        job_registry: See ``registry``.
        rrq_settings: The settings a program loads from ``rrq.toml``. The runner itself needs none of them: it
            speaks to the orchestrator, not to Redis. Handlers find the object as
            ``ctx.state["rrq_settings"]``.
        options: Further fields of :class:`RunnerSettings`.

    Raises:
        SettingsError: Not exactly one registry was given, or a value cannot be used.
    """

    rrq_settings: Settings | None

    def __init__(
        self,
        registry: Registry | None = None,
        *,
        job_registry: Registry | None = None,
        rrq_settings: Settings | None = None,
        **options: Any,
    ) -> None:
        chosen = registry if registry is not None else job_registry
        if chosen is None or (registry is not None and job_registry is not None):
            raise SettingsError(["registry: give the handlers once, as registry or as job_registry"])
        super().__init__(registry=chosen, **options)
        object.__setattr__(self, "rrq_settings", rrq_settings)


PythonExecutorSettings = PythonRunnerSettings


class RunnerRuntime:
    """Runs a registry; kept for programs written in the style of the other languages' runners."""

    def run_tcp(self, registry: Registry, address: TcpEndpoint | str) -> None:
        """Serve ``registry`` at a loopback TCP address until the process is told to stop."""
        run_tcp(registry, address)

    def run_tcp_with(
        self,
        registry: Registry,
        address: TcpEndpoint | str,
        telemetry: Telemetry | type[Telemetry],
    ) -> None:
        """Do the same, and trace the handlers.

        Args:
            registry: The handlers.
            address: What :func:`parse_tcp_socket` returned, or its text.
            telemetry: Such as :class:`rrq_runner.telemetry.otel.OtelTelemetry`, the class or one of it.

        Raises:
            EndpointError: The text is no loopback address.
            SystemExit: See :func:`rrq_runner.run`.
        """
        current = active()
        if not (isinstance(telemetry, type) and isinstance(current, telemetry)):
            # What init_tracing has switched on knows how to send its last spans.
            use(telemetry() if isinstance(telemetry, type) else telemetry)
        run_tcp(registry, address)


def run_tcp(registry: Registry, address: TcpEndpoint | str) -> None:
    """Serve ``registry`` at a loopback TCP address until the process is told to stop.

    Args:
        registry: The handlers.
        address: What :func:`parse_tcp_socket` returned, or its text.

    Raises:
        EndpointError: The text is no loopback address.
        SystemExit: See :func:`rrq_runner.run`.
    """
    endpoint = parse_tcp_socket(address) if isinstance(address, str) else address
    run(RunnerSettings(registry=registry), endpoint=endpoint)
