"""Runner processes: started, reached, watched, replaced and ended. :mod:`.base` is what the rest of the
wheel sees."""

from rrq_orchestrator.runners.base import (
    LostCause,
    NoCapacity,
    Runner,
    RunnerListener,
    RunnerState,
)

__all__ = ["LostCause", "NoCapacity", "Runner", "RunnerListener", "RunnerState"]
