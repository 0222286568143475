"""``rrq_orchestrator.telemetry.ddtrace`` switches on what orchestrators trace with."""

from support.tracing import run_program

PROGRAM = """
from rrq_orchestrator.telemetry.ddtrace import enable
from rrq_orchestrator.tracing import AttemptTracing

enable(service="shop")
print(json.dumps(AttemptTracing.if_enabled() is not None))
"""


def test_attempts_are_traced_with_it() -> None:
    """An orchestrator that is made afterwards finds it."""
    assert run_program("ddtrace", PROGRAM) is True
