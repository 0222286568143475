"""Names and styles of earlier versions."""

import pytest

import rrq_runner
from rrq_protocol import EndpointError, SettingsError, TcpEndpoint
from rrq_protocol.telemetry import active, use
from rrq_runner import compat
from rrq_runner.registry import Registry
from rrq_runner.settings import RunnerSettings
from rrq_runner.telemetry.otel import OtelTelemetry
from support.tracing import recording


def test_settings_take_the_earlier_arguments() -> None:
    """``job_registry`` and ``rrq_settings`` are understood, and the object is the present one."""
    registry = Registry()
    for made in (
        compat.PythonExecutorSettings(rrq_settings=None, job_registry=registry),
        compat.PythonRunnerSettings(registry=registry, threads=3),
    ):
        assert isinstance(made, RunnerSettings)
        assert made.registry is registry
        assert made.rrq_settings is None


def test_handlers_are_given_once() -> None:
    """None or both is a mistake."""
    with pytest.raises(SettingsError, match="give the handlers once"):
        compat.PythonRunnerSettings()
    with pytest.raises(SettingsError, match="give the handlers once"):
        compat.PythonRunnerSettings(Registry(), job_registry=Registry())


def test_run_tcp_serves_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Function and runtime object come to the same: the present ``run`` at that address."""
    calls: list[object] = []
    monkeypatch.setattr(compat, "run", lambda settings, endpoint: calls.append((settings.registry, endpoint)))
    registry = Registry()
    compat.run_tcp(registry, compat.parse_tcp_socket("127.0.0.1:9000"))
    compat.RunnerRuntime().run_tcp(registry, "127.0.0.1:9000")
    assert calls == [(registry, TcpEndpoint("127.0.0.1", 9000))] * 2
    with pytest.raises(EndpointError):
        compat.run_tcp(registry, "nonsense")


def test_run_tcp_with_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The telemetry that is given is on while handlers run; one that is on already stays for its class."""
    seen: list[object] = []
    monkeypatch.setattr(compat, "run", lambda settings, endpoint: seen.append(active()))
    with recording() as recorded:
        other = OtelTelemetry(recorded.provider)
        for telemetry in (OtelTelemetry, other, OtelTelemetry):
            compat.RunnerRuntime().run_tcp_with(Registry(), "127.0.0.1:9000", telemetry)
        use(None)
        compat.RunnerRuntime().run_tcp_with(Registry(), "127.0.0.1:9000", OtelTelemetry)
    assert seen[:3] == [recorded.telemetry, other, other]
    assert isinstance(seen[3], OtelTelemetry)


def test_the_wheel_offers_them() -> None:
    """Programs import them from the top."""
    for name in compat.__all__:
        assert getattr(rrq_runner, name) is getattr(compat, name)
