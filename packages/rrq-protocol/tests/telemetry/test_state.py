"""Switching telemetry on and off."""

import subprocess
import sys

import pytest

from rrq_protocol.telemetry import TelemetryUnavailable, active, enable_from, enable_named, shutdown, use
from support.rules.wheels import loaded_by
from support.tracing import recording

LIBRARIES = {"opentelemetry", "ddtrace", "logfire"}


@pytest.mark.parametrize("name", ["", "off"])
def test_off_is_off(name: str) -> None:
    """The default, and an empty variable, change nothing."""
    assert enable_named(name, "service") is None
    assert enable_from({"RRQ_TELEMETRY": name}, "service") is None
    assert active() is None


def test_an_unknown_name_is_refused() -> None:
    """The error says what was expected."""
    with pytest.raises(TelemetryUnavailable, match="expected off, otel, ddtrace, logfire, got 'otell'"):
        enable_from({"RRQ_TELEMETRY": "otell"}, "service")


def test_what_is_on_stays_on() -> None:
    """The variable does not replace what a program has switched on itself."""
    with recording() as recorded:
        assert enable_named("ddtrace", "service") is recorded.telemetry
    assert active() is None


def test_shutdown_switches_off() -> None:
    """And may be called again, or without anything on."""
    with recording():
        shutdown()
        assert active() is None
        shutdown()


@pytest.mark.parametrize("name", sorted(LIBRARIES - {"opentelemetry"} | {"otel"}))
def test_a_missing_library_is_named_with_its_extra(name: str) -> None:
    """Where the library is not installed, the error says what to install; there is no traceback to read."""
    program = f"""
import sys
for each in ("opentelemetry", "ddtrace", "logfire"):
    sys.modules[each] = None
from rrq_protocol.telemetry import TelemetryUnavailable, enable_named
try:
    enable_named({name!r}, "service")
except TelemetryUnavailable as error:
    print(error)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert f"rrq.telemetry: {name} cannot be imported" in ended.stdout
    assert f'pip install "rrq-producer[{name}]"' in ended.stdout


@pytest.mark.parametrize("wheel", ["rrq_producer", "rrq_orchestrator", "rrq_runner", "rrq_protocol"])
def test_no_library_is_loaded_before_it_is_asked_for(wheel: str) -> None:
    """Importing a wheel and its telemetry package loads none of the three libraries."""
    modules = loaded_by(f"import {wheel}, {wheel}.telemetry")
    assert {name.partition(".")[0] for name in modules} & LIBRARIES == set()


def test_use_replaces() -> None:
    """The last one that was given counts."""
    with recording() as first:
        with recording() as second:
            assert active() is second.telemetry
        use(first.telemetry)
        assert active() is first.telemetry
