"""Is a program a runner? Checks that talk to it as an orchestrator does, byte by byte (RUNNER_PROTOCOL.md
*Conformance*).
"""

from rrq_orchestrator.conformance.bench import Bench
from rrq_orchestrator.conformance.checks import CHECKS
from rrq_orchestrator.conformance.run import run_checks
from rrq_orchestrator.conformance.verdict import Check, Kind, Level, Outcome, Verdict, conforms

__all__ = ["Bench", "CHECKS", "Check", "Kind", "Level", "Outcome", "Verdict", "conforms", "run_checks"]
