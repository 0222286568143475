"""The rules of :class:`support.machine.Calls` at random, without Hypothesis: many calls in little time.

It does not shrink, but goes where much has happened before; what it makes of a rule it leaves to the rule.
"""

import random
from collections.abc import Callable

from rrq_protocol.transitions import Charge, RepairKind, SettleKind
from support.machine import IDS, LATER_MS, ORCHESTRATORS, PLACES, QUEUES, Attempt, Calls, Record
from support.transitions import NOON_MS
from support.world import World

__all__ = ["Walk"]


class Walk:
    """One episode of random calls; what it draws depends on ``rng`` only."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.calls, self.world, self.rng = Calls(world), world, rng
        self.ids = IDS[: rng.randint(1, len(IDS))]
        self.moves: list[tuple[int, Callable[[], None]]] = [
            (6, self.enqueue), (10, self.claim), (16, self.settle), (2, self.beat), (3, self.register),
            (2, self.fence), (4, self.recover), (1, self.deregister), (3, self.cancel), (3, self.requeue),
            (1, self.purge), (2, self.repair), (3, self.damage),
        ]  # fmt: skip

    def run(self, calls: int) -> None:
        """Make at least that many calls."""
        weights = [weight for weight, _ in self.moves]
        while self.world.calls < calls:
            if self.rng.random() < 0.3:
                self.calls.wait(ms=self.rng.choice((1, 100, 1500, 20_000)))
            self.rng.choices(self.moves, weights)[0][1]()

    def _some(self, most: int = 3) -> list[str]:
        return self.rng.sample(self.ids, self.rng.randint(1, min(most, len(self.ids))))

    def _often(self) -> bool:
        return self.rng.random() < 0.7

    def enqueue(self) -> None:
        rng = self.rng
        jobs = [
            Record(
                job_id,
                n=rng.choice((1, 1, 2)),
                queue=rng.choice(QUEUES),
                due=rng.choice(("", "+1500", f"={LATER_MS}")),
                unique=rng.choice((None, None, "u", "v")),
                guard=rng.choice(("", "", "", "rate_limit", "debounce", "reschedule")),
                key=rng.choice(("k", "l")),
            )
            for job_id in rng.choices(self.ids, k=rng.randint(1, 3))
        ]
        self.calls.enqueue_guarded(jobs=jobs, again=not self._often())

    def claim(self) -> None:
        rng = self.rng
        self.calls.claim(worker=rng.choice(ORCHESTRATORS), queue=rng.choice(QUEUES), wanted=rng.randint(1, 4))

    def settle(self) -> None:
        rng, claims, kinds = self.rng, self.calls.claims, list(SettleKind)
        if not claims:
            return
        # Mostly running attempts and recent claims; old ones are stale, finished, or gone.
        running = self.calls.running() or claims
        recent = rng.choice((running, running, claims[-4:], claims))
        ends = [(self._odd(rng.choice(recent)), rng.choice(kinds)) for _ in range(rng.randint(1, 3))]
        how = {
            "charge": rng.choice((Charge.RETRY, Charge.NONE)),
            "delay_ms": rng.choice((0, 100, 5000)),
            "due_ms": rng.choice((None, None, NOON_MS + 0.25)),
        }
        self.calls.settle(rng.choice(recent).worker, ends, again=not self._often(), **how)

    def _odd(self, attempt: Attempt) -> Attempt:
        newer = self.rng.choice((0, 0, 0, 0, 0, -1, 1))
        return Attempt(attempt.worker, attempt.job_id, max(1, attempt.seq + newer))

    def register(self) -> None:
        if names := self.calls.free_names():
            self.calls.register(worker=self.rng.choice(names))

    def beat(self) -> None:
        self.calls.beat(worker=self.rng.choice(ORCHESTRATORS))

    def fence(self) -> None:
        self.calls.fence(worker=self.rng.choice(ORCHESTRATORS), outdated=not self._often())

    def recover(self) -> None:
        dead = list(self.world.model.reaping) if self._often() else []
        self.calls.recover(worker=self.rng.choice(dead or ORCHESTRATORS), limit=self.rng.randint(1, 4))

    def deregister(self) -> None:
        self.calls.deregister(worker=self.rng.choice(ORCHESTRATORS))

    def cancel(self) -> None:
        self.calls.cancel(job_id=self.rng.choice(self.ids))

    def requeue(self) -> None:
        if self._often():
            self.calls.requeue(job_ids=list(self.world.model.dlq), placed=self._often())
        else:
            self.calls.requeue_any(job_ids=self._some())

    def purge(self) -> None:
        self.calls.purge(job_ids=self._some(), waiting_too=not self._often())

    def repair(self) -> None:
        rng = self.rng
        repairs = [(rng.choice(list(RepairKind)), job_id, rng.choice(PLACES)) for job_id in self._some()]
        self.calls.repair_nothing(repairs=repairs, seen=rng.choice(self.ids))

    def damage(self) -> None:
        self.calls.damage(which=self.rng.randrange(1000))
