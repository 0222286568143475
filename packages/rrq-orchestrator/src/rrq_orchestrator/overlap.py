"""``overlap = "prevent"``: no attempt of ours runs on once others may take its job (RELIABILITY.md 6.8).

Others wait for a whole lease without a sign of us before they do. Our own count of that begins earlier, when
the latest beat that arrived was *sent*, and ends earlier, by what killing takes. Then every process that
holds an attempt is killed; the attempts are given back if, against expectation, they are still ours. So a
long outage of Redis costs reruns, which is the price of this setting.

It cannot act while this process is stopped, nor on a machine that stands still; and an external runner is
only disconnected.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.attempts import AttemptTable
from rrq_orchestrator.runners.base import Runner
from rrq_orchestrator.service import PassSignal
from rrq_protocol import Clock

__all__ = ["OverlapGuard"]

_LAPSED_PAUSE_S = 0.1


class Renewals(Protocol):
    """What the guard needs of the heartbeat."""

    @property
    def renewed_s(self) -> float: ...


class OverlapGuard:
    """Watches the lease from our side.

    Args:
        renewals: Says when the lease was last renewed, monotonic seconds.
        lease_s: Its length.
    """

    name = "overlap"

    def __init__(
        self,
        *,
        renewals: Renewals,
        lease_s: float,
        attempts: AttemptTable,
        runners: Mapping[str, Runner],
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self.passes = PassSignal()
        self._renewals, self._lease_s = renewals, lease_s * 0.9
        self._attempts, self._runners = attempts, runners
        self._clock, self._log = clock, log

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            left_s = self._renewals.renewed_s + self._lease_s - self._clock.monotonic()
            if left_s <= 0:
                self._kill()
                left_s = _LAPSED_PAUSE_S
            self.passes.done()
            await asyncio.sleep(left_s)

    def _kill(self) -> None:
        if len(self._attempts):
            self._log.warning("lease.ran_out", attempts=len(self._attempts), action="kill their processes")
            for runner in self._runners.values():
                runner.abandon("the orchestrator's lease ran out")
