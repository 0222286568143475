"""``rrq_orchestrator.telemetry.logfire`` switches on what orchestrators trace with."""

from support.tracing import run_program

PROGRAM = """
from rrq_orchestrator.telemetry.logfire import enable
from rrq_orchestrator.tracing import AttemptTracing

enable(service_name="shop")
print(json.dumps(AttemptTracing.if_enabled() is not None))
"""


def test_attempts_are_traced_with_it() -> None:
    """An orchestrator that is made afterwards finds it."""
    assert run_program("logfire", PROGRAM) is True
