"""Every orchestrator puts broken indexes right, slowly: after eviction, a restored backup, a deleted key
(RELIABILITY.md 6.7).

It looks at everything, in 1 % of the time. What is wrong is looked at again two leases later, and put right
only if it is the same fault at the same record; the script checks both once more. So several orchestrators
may do this side by side, and no job in motion is touched. By the way it makes the unique keys of jobs that
have not ended last.
"""

import asyncio
import random
from collections.abc import Iterable

from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.audit import Finding, Look, LookRefused, Rules, drive
from rrq_orchestrator.audit.findings import Identity
from rrq_orchestrator.audit.mend import mend
from rrq_orchestrator.errors import RedisGone, RedisRefused
from rrq_orchestrator.service import PassSignal
from rrq_orchestrator.store.redis import RedisLink
from rrq_protocol import Clock, Keyspace
from rrq_protocol.transitions import RepairReply

__all__ = ["LEASES_APART", "Reconciler", "Suspicions"]

LEASES_APART = 2
"""How many leases lie between the two observations that a repair needs."""

_SHARE = 0.01
_STEP = 100


class Suspicions:
    """Faults seen once, with the monotonic time at which they were first seen; pure."""

    def __init__(self, apart_s: float) -> None:
        self._apart_s = apart_s
        self._since: dict[Identity, tuple[Finding, float]] = {}

    def __len__(self) -> int:
        return len(self._since)

    def saw(self, findings: Iterable[Finding], now_s: float) -> None:
        """Note a look at everything: faults that were not seen again are forgotten."""
        before = self._since
        self._since = {
            each.identity: before.get(each.identity, (each, now_s))
            for each in findings
            if each.repair is not None
        }

    def take_due(self, now_s: float) -> tuple[Finding, ...]:
        """Return the faults that are to be looked at again now, and forget them."""
        due = [name for name, (_, since_s) in self._since.items() if now_s - since_s >= self._apart_s]
        return tuple(self._since.pop(name)[0] for name in due)

    def clear(self) -> None:
        """Forget everything: what was seen of another server, or before a gap, proves nothing."""
        self._since.clear()


class Reconciler:
    """Looks, waits, looks again, repairs. ``repaired`` counts what it put right.

    Args:
        keyspace: The keys.
        link: A connection of its own.
        rules: What is known of the installation.
        lease_s: The length of a lease.
        interval_s: The pause between two looks; 0 looks never.
        clock: Time.
        rng: Randomness, so that orchestrators started together do not look together.
        log: Where repairs are told.
    """

    name = "reconciler"

    def __init__(
        self,
        *,
        keyspace: Keyspace,
        link: RedisLink,
        rules: Rules,
        lease_s: float,
        interval_s: float,
        clock: Clock,
        rng: random.Random,
        log: FilteringBoundLogger,
    ) -> None:
        self.passes = PassSignal()
        self.repaired = 0
        self._keyspace, self._link, self._interval_s = keyspace, link, interval_s
        self._apart_s = LEASES_APART * lease_s
        self._look = Look(keyspace, rules, step=_STEP, keys=True)
        self._suspicions = Suspicions(self._apart_s)
        self._refused = False
        self._clock, self._rng, self._log = clock, rng, log

    async def run(self) -> None:
        """Look and repair until cancelled."""
        if self._interval_s <= 0:
            return
        while True:
            pause_s = min(self._interval_s, self._apart_s) if len(self._suspicions) else self._interval_s
            await asyncio.sleep(pause_s * (1 + self._rng.random() / 5))
            try:
                await self._pass()
                self._refused = False
            except (RedisGone, RedisRefused):
                self._suspicions.clear()
            except LookRefused as error:
                self._suspicions.clear()
                if not self._refused:
                    self._log.warning("reconciler.refused", command=error.command, problem=error.problem)
                self._refused = True
            self.passes.done()

    async def _pass(self) -> None:
        due = self._suspicions.take_due(self._clock.monotonic())
        if due:
            still = await drive(self._look.again(due), self._link, self._clock, share=_SHARE)
            for finding, reply in await mend(still, self._keyspace, self._link):
                self._tell(finding, reply)
        report = await drive(self._look.everything(), self._link, self._clock, share=_SHARE)
        self._suspicions.saw(report.findings, self._clock.monotonic())

    def _tell(self, finding: Finding, reply: RepairReply) -> None:
        if reply is not RepairReply.REPAIRED or finding.repair is None:
            return
        self.repaired += 1
        self._log.warning(
            "job.repaired",
            job_id=finding.job_id,
            repair=finding.repair.kind.value,
            invariant=finding.rule,
            key=finding.key,
            expected=finding.expected,
            found=finding.found,
            status=finding.evidence.status,
            worker_id=finding.evidence.worker_id,
            claim_seq=finding.evidence.claim_seq,
        )
