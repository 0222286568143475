"""The scripts against a model: after any calls both are alike, and every invariant holds.

Scripts are atomic, so the order of calls is the interleaving (RELIABILITY.md 3.7, layer 1). One run walks at
random, the other tries every call in every state that two orchestrators and two jobs can reach.

`RRQ_MODEL_CALLS` is the number of calls, 20,000 unless set; `RRQ_TEST_SEED` repeats a run. The walk makes
three quarters of them.
"""

import os
import random
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from rrq_protocol import Job, Keyspace, ScriptCall, transitions
from rrq_protocol.transitions import Charge, Guard, Lease, PreparedJob, SettleKind, Settlement
from support.audit import Rules, judge
from support.model import Model, Wanted, seen_state
from support.snapshot import Snapshots
from support.transitions import NOON_MS, Transitions

CALLS = int(os.environ.get("RRQ_MODEL_CALLS", "20000"))
EPISODE = 150
ORCHESTRATORS = ("a", "b", "c")
QUEUES = ("default", "other")
DEFAULTS = transitions.EnqueueDefaults(max_retries=2)
LEASE_MS = 10_000
POLICY = transitions.RecoveryPolicy(max_crashes=2, crash_delay_ms=1000)
MAX_CRASHES = 3
RULES = Rules(max_crashes=MAX_CRASHES, conserved=True)


class World:
    """A keyspace and its model, moved together; each step compares replies, states and invariants."""

    def __init__(self, t: Transitions) -> None:
        self.keyspace: Keyspace = t.keyspace
        self.run = t.run
        self.snapshots = Snapshots(t.client, t.keyspace)
        self.model, self.now, self.calls = Model(), NOON_MS, 0
        self.tried: Counter[str] = Counter()
        self.trace: deque[str] = deque(maxlen=25)

    def step(
        self, call: ScriptCall[Any], expected: Any, read: Callable[[Any], Any], *, again: bool = False
    ) -> Any:
        """Carry out a call, again if it must be repeatable; return what ``read`` makes of the reply."""
        self.trace.append(f"{self.now - NOON_MS:+} {call.script} {' '.join(str(arg) for arg in call.args)}")
        got = read(self.run(call))
        self.calls += 1
        for each in got if isinstance(got, list) and call.script != "claim" else [got]:
            word = each[0] if isinstance(each, tuple) else each
            self.tried[f"{call.script} {word}" if isinstance(word, str) else call.script] += 1
        assert got == expected, self._told()
        keys = self.snapshots.read()
        prefix = self.keyspace.prefix
        assert seen_state(keys, prefix) == self.model.state(), self._told()
        assert judge(keys, self.keyspace, RULES) == (), self._told()
        if again:
            self.run(call)
            self.calls += 1
            repeated = self.snapshots.read()
            assert repeated == keys, f"a repeat changed something (I16)\n{self._told()}"
        return got

    def _told(self) -> str:
        return "the calls before, newest last:\n" + "\n".join(self.trace)

    # The calls, each with what the model says.

    def enqueue(self, wanted: list[Wanted], dues: list[str], *, again: bool = False) -> None:
        prepared = [self._prepared(each, due) for each, due in zip(wanted, dues, strict=True)]
        call = transitions.enqueue(self.keyspace, prepared, now_ms=self.now)
        expected = self.model.enqueue(wanted)
        self.step(
            call, expected, lambda got: [(reply.kind.value, reply.job_id) for reply in got], again=again
        )

    def _prepared(self, w: Wanted, due: str) -> PreparedJob:
        name, _, params = w.content.partition(" ")
        guard = Guard(w.guard, w.guard_key, 3600) if w.guard else None
        job = Job(
            name, {"n": int(params[5:-1])}, w.queue, w.id, unique_key=w.unique, max_retries=w.max_retries
        )
        args = transitions.prepare(job, DEFAULTS, guard=guard).args
        return PreparedJob(w.id, w.queue, (*args[:8], due, *args[9:]))

    def claim(self, worker: str, queue: str, wanted: int) -> list[tuple[str, int]]:
        request = transitions.ClaimRequest(queue, "python", wanted)
        call = transitions.claim(self.keyspace, worker, [request], {"python": 99}, now_ms=self.now)
        expected = self.model.claim(worker, queue, wanted, self.now)
        got = self.step(call, expected, lambda r: None if r.fenced else [(j.id, j.claim_seq) for j in r.jobs])
        return got or []

    def settle(self, worker: str, settlements: list[Settlement], *, again: bool = False) -> None:
        call = transitions.settle(self.keyspace, worker, settlements, now_ms=self.now)
        expected = self.model.settle(worker, settlements, self.now)
        self.step(call, expected, lambda got: [reply.value for reply in got], again=again)

    def register(self, worker: str) -> None:
        call = transitions.register(self.keyspace, Lease(worker, LEASE_MS, b"{}", 60_000), now_ms=self.now)
        self.model.register(worker, self.now + LEASE_MS)
        self.step(call, self.now, int, again=True)

    def beat(self, worker: str) -> None:
        call = transitions.heartbeat(self.keyspace, Lease(worker, LEASE_MS, b"{}", 60_000), now_ms=self.now)
        self.step(call, self.model.beat(worker, self.now + LEASE_MS), lambda got: got.fenced)

    def fence(self, worker: str, observed: float) -> None:
        call = transitions.fence(self.keyspace, worker, observed, now_ms=self.now)
        self.step(call, self.model.fence(worker, observed, self.now), bool, again=True)

    def deregister(self, worker: str) -> None:
        call = transitions.deregister(self.keyspace, worker, now_ms=self.now)
        self.step(call, self.model.deregister(worker, self.now), int, again=True)

    def recover(self, worker: str, limit: int) -> None:
        call = transitions.recover(self.keyspace, worker, POLICY, limit=limit, now_ms=self.now)
        expected = self.model.recover(worker, limit, self.now)
        self.step(
            call,
            expected,
            lambda r: (r.recovered, r.dead_lettered, r.cancelled, r.pruned, r.left),
            again=not expected[-1],
        )

    def cancel(self, job_id: str) -> None:
        call = transitions.cancel(self.keyspace, job_id, now_ms=self.now)
        self.step(call, self.model.cancel(job_id), lambda got: got.value, again=True)

    def requeue(self, job_ids: list[str], *, again: bool = True) -> None:
        call = transitions.requeue(self.keyspace, "default", job_ids, now_ms=self.now)
        expected = self.model.requeue(job_ids, self.now)
        self.step(call, expected, lambda got: [reply.value for reply in got], again=again)

    def purge(self, job_ids: list[str], *, waiting_too: bool = False) -> None:
        call = transitions.purge(self.keyspace, "default", job_ids, waiting_too=waiting_too, now_ms=self.now)
        expected = self.model.purge(job_ids, waiting_too)
        self.step(call, expected, lambda got: [reply.value for reply in got], again=True)


class Walk:
    """One episode of random calls; what it draws depends on ``rng`` only."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world, self.rng = world, rng
        self.claims: list[tuple[str, str, int]] = []
        self.ids = [f"j{n}" for n in range(rng.randint(1, 8))]
        self.moves: list[tuple[int, Callable[[], None]]] = [
            (6, self.enqueue), (10, self.claim), (16, self.settle), (2, self.beat), (3, self.register),
            (2, self.fence), (4, self.recover), (1, self.deregister), (3, self.cancel), (3, self.requeue),
            (1, self.purge),
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
