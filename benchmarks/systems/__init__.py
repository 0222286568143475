"""What is measured: RRQ of this checkout, and the public RRQ."""

from benchmarks.systems.base import Load, Orchestrator, System
from benchmarks.systems.ours import Ours
from benchmarks.systems.public import Public, install

__all__ = ["Load", "Orchestrator", "Ours", "Public", "System", "install"]
