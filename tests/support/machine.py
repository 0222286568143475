"""Any calls of the scripts in any order, as rules for Hypothesis: what fails is shrunk to a few calls.

A rule draws the arguments of one call; :class:`support.world.World` carries it out on the keyspace and on the
model, and compares. Time is virtual and tokens count up, so a sequence gives the same each time.

Hypothesis draws rules evenly, and leaves some out of each sequence. What most of a sequence is about has many
rules therefore: there is always one for jobs to come in, one to claim them and one to end them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rrq_protocol.transitions import Charge, Repair, RepairKind, SettleKind, Settlement
from support.breaking import Breaking
from support.model import WAITING, Wanted
from support.transitions import NOON_MS
from support.world import MAX_CRASHES, World

__all__ = ["IDS", "LATER_MS", "ORCHESTRATORS", "PLACES", "QUEUES", "Attempt", "Calls", "Record", "explore"]

T = TypeVar("T")
R = TypeVar("R", bound=Callable[..., None])
LATER_MS = NOON_MS + 5000.5
ORCHESTRATORS = ("a", "b", "c")
QUEUES = ("default", "other")
IDS = tuple(f"j{n}" for n in range(8))
PLACES = (*QUEUES, *ORCHESTRATORS, "u0")


@dataclass(frozen=True)
class Record:
    """One job of an enqueue; ``due`` as the script takes it: ``""`` now, ``+N`` ms from now, ``=N`` at N."""

    id: str
    n: int = 1
    queue: str = "default"
    due: str = ""
    unique: str | None = None
    guard: str = ""
    key: str = ""

    def wanted(self, due_ms: float) -> Wanted:
        """Return it as the model takes it. The digest covers the queue, so the content names it."""
        key = self.key if self.guard in ("rate_limit", "debounce") else ""
        content = f'f-{self.queue} {{"n":{self.n}}}'
        guard = self.guard
        return Wanted(self.id, content, self.queue, due_ms, unique=self.unique, guard=guard, guard_key=key)


@dataclass(frozen=True)
class Attempt:
    """One execution: who claimed which job, with which token."""

    worker: str
    job_id: str
    seq: int


def _of(pick: Callable[["Calls"], Sequence[T]], otherwise: Sequence[T] = ()) -> st.SearchStrategy[T]:
    """Draw from what there is at that moment; at times, and where there is nothing, from ``otherwise``."""

    def drawn(calls: "Calls") -> st.SearchStrategy[T]:
        there = pick(calls)
        return st.sampled_from((*there, *there, *otherwise))

    return st.runner().flatmap(drawn)


def _some(each: st.SearchStrategy[T]) -> st.SearchStrategy[list[T]]:
    return st.lists(each, min_size=1, max_size=3, unique=True)


_workers = st.sampled_from(ORCHESTRATORS)
_living = _of(lambda calls: sorted(calls.world.model.workers))
_dead = _of(lambda calls: sorted(calls.world.model.reaping), ORCHESTRATORS)
_ids = _of(lambda calls: sorted(calls.world.model.jobs), IDS)
_running = _of(lambda calls: calls.running())
_late = _of(lambda calls: calls.claims)
_new = st.builds(
    Record,
    _of(lambda calls: calls.new_ids(), IDS),
    st.sampled_from((1, 1, 2)),
    st.sampled_from(QUEUES),
    st.sampled_from(("", "", "+1500", f"={LATER_MS}")),
    st.sampled_from((None, None, "u", "v")),
)
_guarded = st.builds(
    replace,
    _new,
    guard=st.sampled_from(("", "rate_limit", "debounce", "reschedule")),
    key=st.sampled_from(("k", "l")),
)
_limits = st.integers(1, 4)
_delays = st.sampled_from((0, 100, 5000))
_places_due = st.sampled_from((None, None, NOON_MS + 0.25))
_charges = st.sampled_from((Charge.RETRY, Charge.NONE))
_kinds = st.sampled_from(tuple(SettleKind))
_repairs = st.tuples(st.sampled_from(tuple(RepairKind)), _ids, st.sampled_from(PLACES))
_seldom = st.sampled_from((False, False, True))


def _where(holds: Callable[["Calls"], object]) -> Callable[[R], R]:
    """Only in states of that kind may the rule be drawn."""
    return precondition(lambda calls: bool(holds(calls)))


_some_new = _where(lambda calls: calls.new_ids())
_claimable = _where(lambda calls: calls.due() and calls.world.model.workers)
_some_run = _where(lambda calls: calls.running())
_some_ran = _where(lambda calls: calls.claims)
_some_jobs = _where(lambda calls: calls.world.model.jobs)
_some_dead_letters = _where(lambda calls: calls.world.model.dlq)
_some_living = _where(lambda calls: calls.world.model.workers)


class Calls(RuleBasedStateMachine):
    """Three orchestrators, eight jobs, two queues; stale and repeated calls among the others.

    Args:
        world: What the calls are made on; emptied first.
    """

    world: World
    claims: list[Attempt]

    def __init__(self, world: World) -> None:
        super().__init__()
        world.begin()
        self.world = world
        self.claims = []

    def running(self) -> list[Attempt]:
        """Return the attempts that have not ended, by job."""
        jobs = sorted(self.world.model.jobs.values(), key=lambda job: job.id)
        return [Attempt(str(job.worker), job.id, job.seq) for job in jobs if job.status == "ACTIVE"]

    def due(self) -> list[str]:
        """Return the queues with jobs that are due."""
        jobs = self.world.model.jobs.values()
        return sorted({job.queue for job in jobs if job.status in WAITING and job.due <= self.world.now})

    def new_ids(self) -> list[str]:
        """Return the ids that no job has."""
        return [each for each in IDS if each not in self.world.model.jobs]

    def free_names(self) -> list[str]:
        """Return the orchestrators that may register: a name comes back when nothing of it is left."""
        return [name for name in ORCHESTRATORS if name not in self.world.model.reaping]

    @initialize(
        workers=st.lists(_workers, max_size=3, unique=True),
        jobs=st.lists(_new, max_size=5),
        ends=st.lists(_kinds, max_size=5),
    )
    def start(self, workers: list[str], jobs: list[Record], ends: list[SettleKind]) -> None:
        """Begin with orchestrators, and with jobs of which some run and some have ended."""
        for each in workers:
            self.world.register(each)
        if jobs:
            self._accept(jobs)
        for worker, queue in zip(workers, self.due(), strict=False):
            self._claim(worker, queue, 4)
        for attempt, kind in zip(self.running(), ends, strict=False):
            self._end(attempt, kind, again=False)

    @rule(ms=st.sampled_from((1, 100, 1500, 20_000)))
    def wait(self, ms: int) -> None:
        self.world.now += ms

    # Jobs come in.

    def _accept(self, jobs: list[Record], again: bool = False) -> None:
        now = self.world.now
        wanted: list[Wanted] = []
        for left, each in enumerate(reversed(jobs)):
            due_ms = {"": now - left / 1000, "+1500": now + 1500}.get(each.due, LATER_MS)
            wanted.insert(0, each.wanted(due_ms))
        # In a repeat the first of two jobs under one id would get its chance, and so would one whose unique
        # key a later one gives up as it is moved.
        moved = any(each.guard in ("reschedule", "debounce") for each in jobs[1:])
        again = again and not moved and len({each.id for each in jobs}) == len(jobs)
        self.world.enqueue(wanted, [each.due for each in jobs], again=again)

    @_some_new
    @rule(job=_new)
    def enqueue(self, job: Record) -> None:
        self._accept([job])

    @_some_new
    @rule(jobs=st.lists(_new, min_size=2, max_size=4), again=_seldom)
    def enqueue_many(self, jobs: list[Record], again: bool) -> None:
        self._accept(jobs, again)

    @rule(jobs=st.lists(_guarded, min_size=1, max_size=3), again=_seldom)
    def enqueue_guarded(self, jobs: list[Record], again: bool) -> None:
        self._accept(jobs, again)

    # Attempts begin.

    def _claim(self, worker: str, queue: str, wanted: int) -> None:
        self.claims += [Attempt(worker, *each) for each in self.world.claim(worker, queue, wanted)]

    @_claimable
    @rule(worker=_living, queue=_of(lambda calls: calls.due()))
    def claim_one(self, worker: str, queue: str) -> None:
        self._claim(worker, queue, 1)

    @_claimable
    @rule(worker=_living, queue=_of(lambda calls: calls.due()), wanted=_limits)
    def claim_due(self, worker: str, queue: str, wanted: int) -> None:
        self._claim(worker, queue, wanted)

    @rule(worker=_workers, queue=st.sampled_from(QUEUES), wanted=_limits)
    def claim(self, worker: str, queue: str, wanted: int) -> None:
        self._claim(worker, queue, wanted)

    # Attempts end.

    def _settlement(
        self,
        attempt: Attempt,
        kind: SettleKind,
        charge: Charge = Charge.RETRY,
        delay_ms: int = 0,
        due_ms: float | None = None,
    ) -> Settlement:
        job = self.world.model.jobs.get(attempt.job_id)
        if kind is SettleKind.CRASH and job is not None and job.crashes + 1 >= MAX_CRASHES:
            # The budget of crashes is the orchestrator's to keep.
            kind, charge = SettleKind.FAIL, Charge.CRASH
        return Settlement(
            attempt.job_id, attempt.seq, kind, job.queue if job else "default", "null", delay_ms=delay_ms,
            charge=charge, ttl_seconds=3600, due_ms=due_ms, run_ms=1,
        )  # fmt: skip

    def settle(
        self, worker: str, ends: Sequence[tuple[Attempt, SettleKind]], *, again: bool = False, **how: Any
    ) -> None:
        """End attempts in one call; ``how`` is charge, delay_ms and due_ms, for all of them."""
        self.world.settle(worker, [self._settlement(*each, **how) for each in ends], again=again)

    def _end(self, attempt: Attempt, kind: SettleKind, again: bool, **how: Any) -> None:
        self.settle(attempt.worker, [(attempt, kind)], again=again, **how)

    @_some_run
    @rule(attempt=_running, again=_seldom)
    def complete(self, attempt: Attempt, again: bool) -> None:
        self._end(attempt, SettleKind.COMPLETE, again)

    @_some_run
    @rule(attempt=_running, again=_seldom, delay_ms=_delays)
    def retry(self, attempt: Attempt, again: bool, delay_ms: int) -> None:
        self._end(attempt, SettleKind.RETRY, again, delay_ms=delay_ms)

    @_some_run
    @rule(attempt=_running, again=_seldom, charge=_charges)
    def fail(self, attempt: Attempt, again: bool, charge: Charge) -> None:
        self._end(attempt, SettleKind.FAIL, again, charge=charge)

    @_some_run
    @rule(attempt=_running, again=_seldom, delay_ms=_delays, due_ms=_places_due)
    def release(self, attempt: Attempt, again: bool, delay_ms: int, due_ms: float | None) -> None:
        self._end(attempt, SettleKind.RELEASE, again, delay_ms=delay_ms, due_ms=due_ms)

    @_some_run
    @rule(attempt=_running, again=_seldom, delay_ms=_delays)
    def crash(self, attempt: Attempt, again: bool, delay_ms: int) -> None:
        self._end(attempt, SettleKind.CRASH, again, delay_ms=delay_ms)

    @_some_run
    @rule(attempt=_running, again=_seldom, delay_ms=_delays)
    def suspect(self, attempt: Attempt, again: bool, delay_ms: int) -> None:
        self._end(attempt, SettleKind.SUSPECT, again, delay_ms=delay_ms)

    @_some_run
    @rule(attempt=_running, again=_seldom)
    def end_cancelled(self, attempt: Attempt, again: bool) -> None:
        self._end(attempt, SettleKind.CANCEL, again)

    @_some_run
    @rule(ends=st.lists(st.tuples(_running, _kinds), min_size=2, max_size=3), again=_seldom)
    def settle_many(self, ends: list[tuple[Attempt, SettleKind]], again: bool) -> None:
        self.settle(ends[0][0].worker, ends, again=again)

    @_some_ran
    @rule(attempt=_late, kind=_kinds, worker=_workers, newer=st.sampled_from((0, 1, -1)))
    def settle_late(self, attempt: Attempt, kind: SettleKind, worker: str, newer: int) -> None:
        self.settle(worker, [(replace(attempt, seq=max(1, attempt.seq + newer)), kind)])

    # Leases.

    @_where(lambda calls: calls.free_names() and len(calls.world.model.workers) < len(ORCHESTRATORS))
    @rule(worker=_of(lambda calls: calls.free_names()))
    def register(self, worker: str) -> None:
        self.world.register(worker)

    @rule(worker=_workers)
    def beat(self, worker: str) -> None:
        self.world.beat(worker)

    @_some_living
    @rule(worker=_living, outdated=_seldom)
    def fence(self, worker: str, outdated: bool) -> None:
        self.world.fence(worker, self.world.model.workers.get(worker, 1.0) - outdated)

    @rule(worker=_dead, limit=_limits)
    def recover(self, worker: str, limit: int) -> None:
        self.world.recover(worker, limit)

    @_some_living
    @rule(worker=_living)
    def deregister(self, worker: str) -> None:
        self.world.deregister(worker)

    # Operators.

    @_some_jobs
    @rule(job_id=_ids)
    def cancel(self, job_id: str) -> None:
        self.world.cancel(job_id)

    @_some_dead_letters
    @rule(job_ids=_some(_of(lambda calls: calls.world.model.dlq)), placed=st.booleans())
    def requeue(self, job_ids: list[str], placed: bool) -> None:
        self.world.requeue(job_ids, placed=placed)

    @_some_jobs
    @rule(job_ids=_some(_ids))
    def requeue_any(self, job_ids: list[str]) -> None:
        self.world.requeue(job_ids)

    @_some_jobs
    @rule(job_ids=_some(_ids), waiting_too=_seldom)
    def purge(self, job_ids: list[str], waiting_too: bool) -> None:
        self.world.purge(job_ids, waiting_too=waiting_too)

    # Repairs.

    @rule(
        repairs=st.lists(_repairs, min_size=1, max_size=3),
        seen=_ids,
    )
    def repair_nothing(self, repairs: list[tuple[RepairKind, str, str]], seen: str) -> None:
        """Nothing is broken. The evidence is of the job ``seen``, which may be another one."""
        model = self.world.model
        made = [Repair(kind, job_id, model.evidence(seen), place) for kind, job_id, place in repairs]
        # These have no job, so they have no evidence that could be wrong.
        idle = {kind: Repair(kind, place="nobody") for kind in (RepairKind.REAP, RepairKind.COUNTERS)}
        self.world.repair([idle.get(each.kind, each) for each in made])

    @_some_jobs
    @rule(which=st.integers(0, 20))
    def damage(self, which: int) -> None:
        """Break one index entry by hand, and have it repaired."""
        faults = Breaking(self.world.client, self.world.keyspace).all(self.world.model)
        if faults:
            repair, broken, undone = faults[which % len(faults)]
            broken()
            undone(self.world.now)
            self.world.repair([repair], ["repaired"])


def explore(world: World, number: int, sequences: int) -> None:
    """Try sequences of up to 50 rules; one that fails is shrunk, told and raised.

    Args:
        world: What they are tried on.
        number: The seed.
        sequences: How many.
    """

    @seed(number)
    def calls() -> Calls:
        return Calls(world)

    # A blob to reproduce a failure has no test here that it could be added to; the seed does that.
    options = settings(
        max_examples=sequences,
        stateful_step_count=50,
        deadline=None,
        database=None,
        print_blob=False,
        report_multiple_bugs=False,
        # To explain takes as long as to shrink, and what to look at is in the sequence.
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    # Any function that makes a machine will do; its type asks for the class.
    run_state_machine_as_test(calls, settings=options)  # type: ignore[arg-type]
