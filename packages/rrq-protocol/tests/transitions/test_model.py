"""The scripts against a model: after any calls both are alike, and every invariant holds.

Scripts are atomic, so the order of calls is the interleaving (RELIABILITY.md 3.7, layer 1). One run walks at
random, the other tries every call in every state that two orchestrators and two jobs can reach.

`RRQ_MODEL_CALLS` is the number of calls, 20,000 unless set; `RRQ_TEST_SEED` repeats a run. The walk makes
three quarters of them.
"""

import os
import random
from collections import deque
from collections.abc import Callable
from functools import partial

import pytest

from rrq_protocol.transitions import (
    Charge,
    Repair,
    RepairKind,
    SettleKind,
    Settlement,
)
from support.breaking import Breaking
from support.model import Model, Wanted
from support.transitions import NOON_MS, Transitions
from support.world import MAX_CRASHES, World

CALLS = int(os.environ.get("RRQ_MODEL_CALLS", "20000"))
EPISODE = 150
ORCHESTRATORS = ("a", "b", "c")
QUEUES = ("default", "other")


class Walk:
    """One episode of random calls; what it draws depends on ``rng`` only."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world, self.rng = world, rng
        self.claims: list[tuple[str, str, int]] = []
        self.ids = [f"j{n}" for n in range(rng.randint(1, 8))]
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
                self.world.now += self.rng.choice((1, 100, 1500, 20_000))
            self.rng.choices(self.moves, weights)[0][1]()

    def _some(self, most: int = 3) -> list[str]:
        return self.rng.sample(self.ids, self.rng.randint(1, min(most, len(self.ids))))

    def enqueue(self) -> None:
        rng, now = self.rng, self.world.now
        chosen = rng.choices(self.ids, k=rng.randint(1, 3))
        wanted, dues = [], []
        for index, job_id in enumerate(chosen, 1):
            guard = rng.choice(("", "", "", "rate_limit", "debounce", "reschedule"))
            due, text = rng.choice(
                (
                    (now - (len(chosen) - index) / 1000, ""),
                    (now + 1500, "+1500"),
                    (NOON_MS + 5000.5, f"={NOON_MS + 5000.5}"),
                )
            )
            content = f'f {{"n":{rng.choice((1, 1, 2))}}}'
            key = rng.choice(("k", "l")) if guard != "reschedule" else ""
            unique = rng.choice((None, None, "u", "v"))
            wanted.append(Wanted(job_id, content, "default", due, unique=unique, guard=guard, guard_key=key))
            dues.append(text)
        if wanted[0].guard in ("", "reschedule"):
            for each in wanted:
                each.queue = rng.choice(QUEUES)
        # The digest covers the queue, so one content in two queues is two contents.
        # Two jobs under one id are a caller's mistake: in a repeat the first one would get its chance.
        again = rng.random() < 0.3 and len(set(chosen)) == len(chosen)
        self.world.enqueue([_with_queue(each) for each in wanted], dues, again=again)

    def claim(self) -> None:
        worker = self.rng.choice(ORCHESTRATORS)
        for job_id, seq in self.world.claim(worker, self.rng.choice(QUEUES), self.rng.randint(1, 4)):
            self.claims.append((worker, job_id, seq))

    def settle(self) -> None:
        rng = self.rng
        if not self.claims:
            return
        # Mostly running attempts and recent claims; old ones are stale, finished, or gone.
        running = [
            (str(j.worker), j.id, j.seq) for j in self.world.model.jobs.values() if j.status == "ACTIVE"
        ]
        recent = rng.choice((running or self.claims, running or self.claims, self.claims[-4:], self.claims))
        worker, _, _ = rng.choice(recent)
        batch = []
        for _ in range(rng.randint(1, 3)):
            _, job_id, seq = rng.choice(recent)
            kind = rng.choice(list(SettleKind))
            charge = rng.choice((Charge.RETRY, Charge.NONE))
            if kind is SettleKind.CRASH and not self._may_crash(job_id):
                kind, charge = SettleKind.FAIL, Charge.CRASH
            batch.append(
                Settlement(
                    job_id,
                    max(1, seq + rng.choice((0, 0, 0, 0, 0, -1, 1))),
                    kind,
                    self._queue_of(job_id),
                    "null",
                    delay_ms=rng.choice((0, 100, 5000)),
                    charge=charge,
                    ttl_seconds=3600,
                    due_ms=rng.choice((None, None, NOON_MS + 0.25)),
                    run_ms=1,
                )
            )
        self.world.settle(worker, batch, again=rng.random() < 0.3)

    def _may_crash(self, job_id: str) -> bool:
        """Return whether one more crash is within the budget, which is the orchestrator's to keep."""
        job = self.world.model.jobs.get(job_id)
        return job is None or job.crashes + 1 < MAX_CRASHES

    def _queue_of(self, job_id: str) -> str:
        job = self.world.model.jobs.get(job_id)
        return job.queue if job else "default"

    def register(self) -> None:
        # A name is used once; here it may come back when nothing of it is left.
        worker = self.rng.choice(ORCHESTRATORS)
        if worker not in self.world.model.reaping:
            self.world.register(worker)

    def beat(self) -> None:
        self.world.beat(self.rng.choice(ORCHESTRATORS))

    def fence(self) -> None:
        worker = self.rng.choice(ORCHESTRATORS)
        observed = self.world.model.workers.get(worker, 1.0)
        self.world.fence(worker, observed if self.rng.random() < 0.7 else observed - 1)

    def recover(self) -> None:
        dead = list(self.world.model.reaping) if self.rng.random() < 0.8 else []
        self.world.recover(self.rng.choice(dead or ORCHESTRATORS), self.rng.randint(1, 4))

    def deregister(self) -> None:
        self.world.deregister(self.rng.choice(ORCHESTRATORS))

    def cancel(self) -> None:
        self.world.cancel(self.rng.choice(self.ids))

    def requeue(self) -> None:
        self.world.requeue(list(self.world.model.dlq) if self.rng.random() < 0.6 else self._some())

    def purge(self) -> None:
        self.world.purge(self._some(), waiting_too=self.rng.random() < 0.3)

    def repair(self) -> None:
        rng, model = self.rng, self.world.model
        places = (*QUEUES, *ORCHESTRATORS, "u0")
        repairs = [
            Repair(rng.choice(list(RepairKind)), job_id, model.evidence(rng.choice((job_id, "j0"))), place)
            for job_id, place in zip(self._some(), rng.choices(places, k=3), strict=False)
        ]
        # This one has no job, so it has no evidence that could be wrong.
        self.world.repair([each for each in repairs if each.kind is not RepairKind.REAP] or [_IDLE])

    def damage(self) -> None:
        world = self.world
        broken = Breaking(world.client, world.keyspace).any(world.model, self.rng)
        if broken is not None:
            repair, damage, undone = broken
            damage()
            undone(world.now)
            world.repair([repair], ["repaired"])


_IDLE = Repair(RepairKind.REAP, place="nobody")


def _with_queue(wanted: Wanted) -> Wanted:
    name, _, params = wanted.content.partition(" ")
    wanted.content = f"{name}-{wanted.queue} {params}"
    return wanted


@pytest.mark.slow
def test_any_order_of_calls(t: Transitions, rng: random.Random) -> None:
    """Random calls by three orchestrators, stale and repeated ones among them (slow: thousands of calls)."""
    world, calls = World(t), CALLS * 3 // 4
    while world.calls < calls:
        world.model, world.now = Model(), NOON_MS
        world.snapshots.load([])
        world.trace.clear()
        Walk(world, rng).run(min(world.calls + EPISODE, calls))
    print(f"{world.calls} calls; replies: {dict(sorted(world.tried.items()))}")


Action = Callable[[World], object]


def _settling(worker: str, job_id: str, kind: SettleKind, older: int) -> Action:
    """End the current attempt of a job, or (``older`` = 1) the one before it."""

    def act(world: World) -> None:
        job = world.model.jobs.get(job_id)
        seq = job.seq - older if job else 1
        spent = kind is SettleKind.CRASH and job is not None and job.crashes >= 1
        end = SettleKind.FAIL if spent else kind
        world.settle(worker, [Settlement(job_id, seq, end, "default", "null", ttl_seconds=3600)])

    return act


def _registering(world: World, worker: str) -> None:
    """Register a worker, unless its name is still being reaped: a name is used once."""
    if worker not in world.model.reaping:
        world.register(worker)


def _fencing(world: World, worker: str) -> None:
    world.fence(worker, world.model.workers.get(worker, 1.0))


def _actions() -> list[Action]:
    """Return every call of the small scope: orchestrators a and b, jobs j (with a unique key) and k."""

    def enqueue(job_id: str, unique: str | None) -> Action:
        return lambda w: w.enqueue([Wanted(job_id, 'f {"n":1}', "default", w.now, unique=unique)], [""])

    actions: list[Action] = [enqueue("j", "u"), enqueue("k", None)]
    for name in ("a", "b"):
        actions += [
            partial(World.claim, worker=name, queue="default", wanted=1),
            partial(_registering, worker=name),
            partial(_fencing, worker=name),
            partial(World.recover, worker=name, limit=1),
            partial(World.deregister, worker=name),
            *(_settling(name, job_id, kind, 0) for job_id in "jk" for kind in SettleKind),
            *(_settling(name, job_id, SettleKind.COMPLETE, 1) for job_id in "jk"),
        ]
    for job_id in ("j", "k"):
        actions += [
            partial(World.cancel, job_id=job_id),
            partial(World.requeue, job_ids=[job_id]),
            partial(World.purge, job_ids=[job_id]),
        ]
    return actions


def _essence(model: Model) -> object:
    """Return what can matter for the future: tokens only count up, so they are left out."""
    jobs = [
        (j.id, j.status, j.worker, j.retries, j.crashes, j.asked_to_end, j.unique in model.unique)
        for j in sorted(model.jobs.values(), key=lambda job: job.id)
    ]
    order = sorted(model.jobs, key=lambda job_id: (model.jobs[job_id].due, job_id))
    return str((jobs, order, sorted(model.workers), sorted(model.reaping), model.dlq))


@pytest.mark.slow
def test_every_call_in_every_small_state(t: Transitions) -> None:
    """States are visited breadth first, and every call is tried in each (slow: thousands of calls)."""
    world, calls, actions = World(t), CALLS // 4, _actions()
    seen = {_essence(world.model)}
    waiting = deque([(0, world.model, world.snapshots.save())])
    depth = 0
    while waiting and world.calls < calls:
        depth, model, saved = waiting.popleft()
        for action in actions:
            world.model = model.copy()
            world.snapshots.load(saved)
            world.trace.append(f"state {_essence(model)}")
            action(world)
            if (essence := _essence(world.model)) not in seen:
                seen.add(essence)
                waiting.append((depth + 1, world.model, world.snapshots.save()))
    done = depth if waiting else depth + 1
    print(
        f"{world.calls} calls; {len(seen)} states; all sequences of up to {done} calls; {len(waiting)} left"
    )
