"""The scripts against a model: after any calls both are alike, and every invariant holds.

Scripts are atomic, so the order of calls is the interleaving (RELIABILITY.md 3.7, layer 1). One run walks at
random, one has Hypothesis draw the same calls and shrink what fails, one tries every call in every state that
two orchestrators and two jobs can reach.

`RRQ_MODEL_CALLS` is the number of calls, 20,000 unless set; `RRQ_TEST_SEED` repeats a run. The walk makes
half of them, the two others a quarter each.
"""

import os
import random
import re
from collections import deque
from collections.abc import Callable
from functools import partial

import pytest

from rrq_protocol.transitions import SettleKind, Settlement
from support.machine import explore
from support.model import Model, Wanted
from support.transitions import Transitions
from support.walk import Walk
from support.world import World

CALLS = int(os.environ.get("RRQ_MODEL_CALLS", "20000"))
EPISODE = 150
# Sequences that Hypothesis makes under one seed: it remembers what it has tried, so that is a bounded number.
SEQUENCES = 100


@pytest.mark.slow
def test_any_order_of_calls(t: Transitions, rng: random.Random) -> None:
    """Random calls by three orchestrators, stale and repeated ones among them (slow: thousands of calls)."""
    world, calls = World(t), CALLS // 2
    while world.calls < calls:
        Walk(world, rng).run(min(world.calls + EPISODE, calls))
    print(_counted(world))


@pytest.mark.slow
def test_rules_in_any_order(t: Transitions, rng: random.Random) -> None:
    """The same calls as Hypothesis draws them; it shrinks what fails to a few (slow: thousands of calls)."""
    world, calls, seeds = World(t), CALLS // 4, 0
    while world.calls < calls:
        explore(world, rng.getrandbits(32), SEQUENCES)
        seeds += 1
    print(f"{_counted(world)}; {seeds} times {SEQUENCES} sequences")


def test_what_fails_is_shrunk(t: Transitions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where model and scripts differ in one call, those that lead to it are left, with plain arguments."""
    monkeypatch.setattr(Model, "cancel", lambda self, job_id: "gone")
    with pytest.raises(AssertionError) as failed:
        explore(World(t), 1, SEQUENCES)
    told = "\n".join(failed.value.__notes__)
    assert re.findall(r"state\.(\w+)", told) == ["start", "cancel", "teardown"], told
    assert "state.cancel(job_id='j0')" in told


def _counted(world: World) -> str:
    return f"{world.calls} calls; replies: {dict(sorted(world.tried.items()))}"


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
    waiting = deque([(0, world.save())])
    depth = 0
    while waiting and world.calls < calls:
        depth, moment = waiting.popleft()
        for action in actions:
            world.restore(moment)
            world.trace.append(f"state {_essence(moment.model)}")
            action(world)
            if (essence := _essence(world.model)) not in seen:
                seen.add(essence)
                waiting.append((depth + 1, world.save()))
    done = depth if waiting else depth + 1
    print(
        f"{world.calls} calls; {len(seen)} states; all sequences of up to {done} calls; {len(waiting)} left"
    )
