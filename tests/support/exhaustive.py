"""Every sequence of calls of a small scope, on the scripts and on the model.

Sequences that lead to states of the same kind go on alike, so one state of each kind is gone on from, and
every call is made in it: breadth first, so that after n rounds all sequences of n calls are covered. What a
kind is says :func:`kind_of`: names of orchestrators and of jobs are interchangeable, and of times only the
order matters. So a call is made for one of several orchestrators, or job ids, that nothing sets apart. Time
moves on with each call, so that no two jobs are due at the same moment and their ids never decide.

All calls for one state go to the server in one piece; the model knows beforehand which of them lead on.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import permutations
from typing import Any

from rrq_protocol import ScriptCall, Text, script_names, script_source
from rrq_protocol.transitions import SettleKind, Settlement
from support.audit import Stored, ask
from support.model import WAITING, Model, Wanted
from support.snapshot import parsed
from support.steps import Book
from support.transitions import NOON_MS, Transitions
from support.world import World

__all__ = ["Found", "Scope", "actions", "explore_all", "kind_of"]

Action = Callable[[World], object]


@dataclass(frozen=True)
class Scope:
    """How much is tried: sequences of ``length`` calls by ``workers`` orchestrators about ``jobs`` jobs."""

    workers: int
    jobs: int
    length: int

    @classmethod
    def parse(cls, text: str) -> "Scope":
        """Read ``3x2x7``."""
        return cls(*(int(each) for each in text.split("x")))

    @property
    def names(self) -> tuple[str, ...]:
        """The orchestrators."""
        return tuple(f"w{n}" for n in range(self.workers))

    @property
    def ids(self) -> tuple[str, ...]:
        """The jobs."""
        return tuple(f"j{n}" for n in range(self.jobs))


@dataclass
class Found:
    """What was tried.

    Attributes:
        calls: Script calls made, repeats included.
        states: How many states were gone on from or reached last, by the length of the shortest sequence that
            leads there; the first is the empty one.
        kinds: What kinds of states they are (:func:`kind_of`).
        replies: How often each script gave which reply.
    """

    scope: Scope
    calls: int = 0
    states: list[int] = field(default_factory=lambda: [1])
    kinds: set[str] = field(default_factory=set)
    replies: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return (
            f"all sequences of up to {len(self.states) - 1} calls by {self.scope.workers} orchestrators "
            f"about {self.scope.jobs} jobs: {self.calls:,} script calls, {sum(self.states):,} kinds of states"
        )


# Kinds of states.


def kind_of(model: Model, scope: Scope) -> str:
    """Return what can matter for the future, the same for states that differ in names and times only.

    Left out are tokens and counters, which only count up, and when leases end, which no call here asks for.
    """
    return min(_seen_by(model, scope, order) for order in permutations(scope.ids))


def _named(model: Model, scope: Scope) -> str:
    """Return the same where every name counts."""
    return _seen_by(model, scope, scope.ids, named=True)


def _seen_by(model: Model, scope: Scope, order: tuple[str, ...], *, named: bool = False) -> str:
    facts = [_facts(model, job_id) for job_id in order]
    here = [each for each in order if each in model.jobs]
    waiting = [each for each in here if model.jobs[each].status in WAITING]
    running = [each for each in here if model.jobs[each].status == "ACTIVE"]
    waiting.sort(key=lambda each: model.jobs[each].due)
    running.sort(key=lambda each: model.jobs[each].started)
    if len({model.jobs[each].worker for each in running}) == len(running):
        running = []  # the order of attempts matters within an active set only
    orders = [[order.index(each) for each in some] for some in (waiting, running, model.dlq)]
    workers = [_of_worker(model, name, order) for name in scope.names]
    return str((facts, orders, workers if named else sorted(workers)))


def _facts(model: Model, job_id: str) -> object:
    if (job := model.jobs.get(job_id)) is None:
        return None
    holds = job.unique is not None and model.unique.get(job.unique) == job_id
    counted = job.seq > 0, job.retries, job.crashes
    return job.status, counted, job.suspect, job.asked_to_end, job.expires, job.unique, holds


def _of_worker(model: Model, name: str, order: tuple[str, ...]) -> tuple[object, ...]:
    """Return what an orchestrator is: known, being reaped, the last one that ran which jobs."""
    ran = tuple(each in model.jobs and model.jobs[each].worker == name for each in order)
    return name in model.workers, name in model.reaping, ran


# Calls.


def actions(model: Model, scope: Scope, *, named: bool = False) -> Iterator[Action]:
    """Yield every call for a state; unless ``named``, one of those that differ in interchangeable names."""
    names, ids = scope.names, scope.ids
    if not named:
        names = tuple({_of_worker(model, name, ids): name for name in names}.values())
        unused = [each for each in ids if each not in model.jobs]
        ids = tuple(each for each in ids if each not in unused[1:])
    for job_id in ids:
        yield partial(_enqueue, job_id=job_id, unique=None)
        yield partial(_enqueue, job_id=job_id, unique="u")
        yield partial(World.cancel, job_id=job_id)
        yield partial(World.requeue, job_ids=[job_id])
        yield partial(World.purge, job_ids=[job_id])
        yield partial(World.purge, job_ids=[job_id], waiting_too=True)
    for name in names:
        yield partial(World.claim, worker=name, queue="default", wanted=1)
        if name not in model.reaping:  # until it has been reaped, a name is not used again
            yield partial(World.register, worker=name)
        yield partial(World.beat, worker=name)
        yield partial(World.fence, worker=name, observed=model.workers.get(name, 1.0))
        yield partial(World.fence, worker=name, observed=0.5)
        yield partial(World.recover, worker=name, limit=1)
        yield partial(World.deregister, worker=name)
        for job_id in ids:
            yield from (partial(_settle, worker=name, job_id=job_id, kind=kind) for kind in SettleKind)
            yield partial(_settle, worker=name, job_id=job_id, kind=SettleKind.COMPLETE, older=1)


def _enqueue(world: World, job_id: str, unique: str | None) -> None:
    world.enqueue([Wanted(job_id, 'f {"n":1}', "default", world.now, unique=unique)], [""], again=True)


def _settle(world: World, worker: str, job_id: str, kind: SettleKind, older: int = 0) -> None:
    """End the current attempt of a job, or (``older`` = 1) the one before it."""
    job = world.model.jobs.get(job_id)
    seq = job.seq - older if job else 1
    if kind is SettleKind.CRASH and job is not None and job.crashes >= 1:
        kind = SettleKind.FAIL  # the budget of crashes is the orchestrator's to keep
    end = Settlement(job_id, seq, kind, "default", "null", ttl_seconds=3600)
    world.settle(worker, [end], again=True)


# The search.


@dataclass
class _Plan:
    """One call, and what the model says of it. ``leads_on``: to a kind of state that was not met before."""

    call: ScriptCall[Any]
    expected: Any
    read: Callable[[Any], Any]
    model: Model
    changes: bool
    again: bool
    leads_on: bool = False


@dataclass(frozen=True)
class _State:
    """A state to go on from; ``rows`` are its keys as the server told them, ``path`` how it came about."""

    model: Model
    saved: list[Any]
    rows: Any
    keys: dict[str, Stored]
    book: Book
    path: tuple[str, ...]


class _Planner(World):
    """Makes no call, but notes what would be called."""

    plans: list[_Plan]

    def plan(self, state: Model, scope: Scope, *, named: bool) -> list[_Plan]:
        """Return every call for a state."""
        self.plans, before = [], state.state()
        for action in actions(state, scope, named=named):
            self.model, known = state.copy(), len(self.plans)
            action(self)
            for plan in self.plans[known:]:
                plan.changes = plan.model.state() != before
                plan.again &= plan.changes  # what changes nothing is repeated by the next call of its kind
        return self.plans

    def step(
        self, call: ScriptCall[Any], expected: Any, read: Callable[[Any], Any], *, again: bool = False
    ) -> Any:
        """Note the call."""
        self.plans.append(_Plan(call, expected, read, self.model, changes=True, again=again))
        return expected


def explore_all(t: Transitions, scope: Scope, *, named: bool = False) -> Found:
    """Make every sequence of calls of a scope, and look at replies, keys and invariants after each call.

    Args:
        t: The keyspace to do it in.
        scope: How far to go.
        named: Do not take names for interchangeable; many more calls.

    Raises:
        AssertionError: Scripts and model differ, or an invariant does not hold; it tells the calls before.
    """
    return _Search(t, scope, named).run()


class _Search:
    def __init__(self, t: Transitions, scope: Scope, named: bool) -> None:
        self.world, self.planner, self.scope, self.named = World(t), _Planner(t), scope, named
        self.found = Found(scope)
        self.seen = set[str]()
        self._meet(Model())
        self.world.snapshots.know()
        for name in script_names():
            t.client.script_load(script_source(name))
        self.client, self.connection = t.client, t.client.connection_pool.make_connection()

    def run(self) -> Found:
        """Go as far as the scope says."""
        level = [_State(Model(), [], [], {}, Book(self.world.keyspace), ())]
        try:
            for depth in range(self.scope.length):
                self.world.now = self.planner.now = NOON_MS + depth
                level = [after for state in level for after in self._go_on(state)]
                self.found.states.append(len(level))
        finally:
            self.connection.disconnect()
        self.found.calls, self.found.replies = self.world.calls, self.world.tried
        return self.found

    def _meet(self, model: Model) -> bool:
        """Return whether no state like this was met before."""
        kind = kind_of(model, self.scope)
        mark = _named(model, self.scope) if self.named else kind
        if mark in self.seen:
            return False
        self.seen.add(mark)
        self.found.kinds.add(kind)
        return True

    def _go_on(self, state: _State) -> list[_State]:
        plans = self.planner.plan(state.model, self.scope, named=self.named)
        commands: list[tuple[Text, ...]] = []
        for plan in plans:
            plan.leads_on = plan.changes and self._meet(plan.model)
            commands += self._commands(state, plan)
        replies = iter(ask(self.connection, commands))
        afters = [self._judge(state, plan, replies) for plan in plans]
        return [each for each in afters if each is not None]

    def _commands(self, state: _State, plan: _Plan) -> Iterator[tuple[Text, ...]]:
        reading = self.world.snapshots.reading()
        yield self.world.snapshots.loading(state.saved)
        yield plan.call.evalsha_args()
        yield reading
        if plan.again:
            yield plan.call.evalsha_args()
            yield reading
        if plan.leads_on:
            yield self.world.snapshots.saving()

    def _judge(self, state: _State, plan: _Plan, replies: Iterator[Any]) -> _State | None:
        """Look at a call; return the state after it if it is new."""
        world = self.world
        step = f"{plan.call.script} {' '.join(str(arg) for arg in plan.call.args)}"
        world.trace.clear()
        world.trace.extend((*state.path, step))
        world.model, world.keys, world.book = plan.model, state.keys, state.book
        loaded, reply, rows = next(replies), next(replies), next(replies)
        for each in (loaded, reply, rows):
            if isinstance(each, Exception):
                raise AssertionError(f"{each}\n{world.told()}") from each
        if rows != state.rows or plan.changes:
            world.book = state.book.copy()
            world.judge(plan.call, plan.read(plan.call.result(reply)), plan.expected, parsed(rows))
        else:  # all that can be asked of these keys was asked before
            world.compare(plan.call, plan.read(plan.call.result(reply)), plan.expected)
        if plan.again:
            next(replies)
            world.calls += 1
            assert next(replies) == rows, f"a repeat changed something (I16)\n{world.told()}"
        if not plan.leads_on:
            return None
        return _State(plan.model, next(replies), rows, world.keys, world.book, (*state.path, step))
