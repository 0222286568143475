"""Listeners of runners for tests that want none."""

from collections.abc import Sequence

from rrq_orchestrator.runners.base import LostCause
from rrq_protocol import WireOutcome

__all__ = ["SilentListener"]


class SilentListener:
    """Hears everything and does nothing."""

    def outcome(self, runner: str, outcome: WireOutcome) -> None:
        pass

    def lost(self, runner: str, request_ids: Sequence[str], cause: LostCause, detail: str) -> None:
        pass

    def capacity_changed(self, runner: str) -> None:
        pass
