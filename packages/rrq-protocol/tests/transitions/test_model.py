"""The scripts against a model: after any calls both are alike, and every invariant holds.

Scripts are atomic, so the order of calls is the interleaving (RELIABILITY.md 3.7, layer 1). One run walks at
random, one has Hypothesis draw the same calls and shrink what fails, one makes all sequences of calls up to a
length that a few orchestrators and jobs allow.

`RRQ_MODEL_CALLS` is the number of calls of the first two, 15,000 unless set; the walk makes two thirds of
them. `RRQ_TEST_SEED` repeats them. `RRQ_MODEL_SCOPE` is how far the third goes: `3x2x6` unless set, which is
three orchestrators, two jobs and six calls. It always gets there: there is no limit to its calls.
"""

import os
import random
import re

import pytest

from support.exhaustive import Scope, explore_all
from support.machine import explore
from support.model import Model
from support.transitions import Transitions
from support.tried import Tried
from support.walk import Walk
from support.world import World

SCOPE = Scope.parse(os.environ.get("RRQ_MODEL_SCOPE", "3x2x6"))
CALLS = int(os.environ.get("RRQ_MODEL_CALLS", "15000"))
EPISODE = 150
# Sequences that Hypothesis makes under one seed: it remembers what it has tried, so that is a bounded number.
SEQUENCES = 100


@pytest.mark.slow
def test_any_order_of_calls(t: Transitions, rng: random.Random, tried: Tried) -> None:
    """Random calls by three orchestrators, stale and repeated ones among them (slow: thousands of calls)."""
    world, calls = World(t), 2 * CALLS // 3
    while world.calls < calls:
        Walk(world, rng).run(min(world.calls + EPISODE, calls))
    tried.say(f"model check, calls at random: {_counted(world)}")


@pytest.mark.slow
def test_rules_in_any_order(t: Transitions, rng: random.Random, tried: Tried) -> None:
    """The same calls as Hypothesis draws them; it shrinks what fails to a few (slow: thousands of calls)."""
    world, calls, seeds = World(t), CALLS // 3, 0
    while world.calls < calls:
        explore(world, rng.getrandbits(32), SEQUENCES)
        seeds += 1
    tried.say(f"model check, {seeds} times {SEQUENCES} sequences of Hypothesis: {_counted(world)}")


def test_what_fails_is_shrunk(t: Transitions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where model and scripts differ in one call, those that lead to it are left, with plain arguments."""
    monkeypatch.setattr(Model, "cancel", lambda self, job_id: "gone")
    with pytest.raises(AssertionError) as failed:
        explore(World(t), 1, SEQUENCES)
    told = "\n".join(failed.value.__notes__)
    assert re.findall(r"state\.(\w+)", told) == ["start", "cancel", "teardown"], told
    assert "state.cancel(job_id='j0')" in told


def _counted(world: World) -> str:
    print(f"replies: {dict(sorted(world.tried.items()))}")
    return f"{world.calls:,} script calls, {len(world.tried)} kinds of replies"


SCRIPTS = {
    "cancel", "claim", "deregister", "enqueue", "fence", "heartbeat", "purge", "recover", "register",
    "requeue", "settle",
}  # fmt: skip
# How many states of new kinds each call more leads to, with three orchestrators and two jobs. Other numbers
# mean that other calls are made, or that the model knows other states: look why, and correct them here.
STATES = (1, 3, 9, 17, 46, 152, 429, 1086, 2652, 5966, 12304, 22476)


@pytest.mark.slow
def test_every_sequence_of_calls(t: Transitions, tried: Tried) -> None:
    """All sequences of the scope are made, each call of them looked at (slow: thousands of calls)."""
    found = explore_all(t, SCOPE)
    tried.say(f"model check, {found}")
    assert len(found.states) == SCOPE.length + 1
    assert {reply.partition(" ")[0] for reply in found.replies} == SCRIPTS
    if (SCOPE.workers, SCOPE.jobs) == (3, 2):
        assert tuple(found.states) == STATES[: SCOPE.length + 1]


def test_names_are_interchangeable(t: Transitions) -> None:
    """Where every name is tried at every place, states of the same kinds are met, and scripts and model are
    alike."""
    scope = Scope(2, 2, 4)
    assert explore_all(t, scope, named=True).kinds == explore_all(t, scope).kinds


def test_a_difference_is_told_with_the_calls_before(t: Transitions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a script does what the model does not, the shortest sequence that shows it is told."""
    monkeypatch.setattr(Model, "_requeue", lambda self, job_id, due: "gone")
    with pytest.raises(AssertionError, match="the calls before") as failed:
        explore_all(t, Scope(1, 1, 4))
    told = str(failed.value).partition("newest last:\n")[2].splitlines()
    assert [line.partition(" ")[0] for line in told] == ["enqueue", "requeue"]
