"""The auditor: does what Redis holds fit together? (RELIABILITY.md 2.3, 6.7)

``judge`` holds the invariants, pure; ``look`` reads what they are about, as a generator of commands without
I/O; ``drive`` carries a reading out. The reconciler and ``rrq doctor`` are its users.
"""

from rrq_orchestrator.audit.batches import LookRefused
from rrq_orchestrator.audit.drive import drive
from rrq_orchestrator.audit.facts import EntryFacts, JobFacts, Rules, Seen
from rrq_orchestrator.audit.findings import Finding, Level, Report
from rrq_orchestrator.audit.look import Look

__all__ = [
    "EntryFacts",
    "Finding",
    "JobFacts",
    "Level",
    "Look",
    "LookRefused",
    "Report",
    "Rules",
    "Seen",
    "drive",
]
