"""Watch mode: one orchestrator after another, a new one after each change of a file that counts."""

from rrq_orchestrator.watch.changes import Changes
from rrq_orchestrator.watch.cycle import Cycle
from rrq_orchestrator.watch.plan import for_watching, watched_folder

__all__ = ["Changes", "Cycle", "for_watching", "watched_folder"]
