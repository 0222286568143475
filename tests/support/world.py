"""A keyspace and its model, moved together: what the model check walks through."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rrq_protocol import Job, ScriptCall, transitions
from rrq_protocol.transitions import Guard, Lease, PreparedJob, Repair, Settlement
from support.audit import Rules, Stored, judge
from support.model import Model, Wanted, seen_state
from support.snapshot import Snapshots
from support.steps import Book, Step, texts
from support.transitions import NOON_MS, Transitions

__all__ = ["MAX_CRASHES", "Moment", "World"]

DEFAULTS = transitions.EnqueueDefaults(max_retries=2)
LEASE_MS = 10_000
POLICY = transitions.RecoveryPolicy(max_crashes=2, crash_delay_ms=1000, job_events=True)
MAX_CRASHES = 3
RULES = Rules(max_crashes=MAX_CRASHES, job_events=True, conserved=True)


@dataclass(frozen=True)
class Moment:
    """A keyspace and its model as they were; ``saved`` is for Redis, ``keys`` is the same as it was read."""

    model: Model
    saved: list[Any]
    keys: dict[str, Stored]
    book: Book


class World:
    """A keyspace and its model, moved together; each step compares replies, states and invariants."""

    def __init__(self, t: Transitions) -> None:
        self.keyspace, self.client = t.keyspace, t.client
        self.run = t.run
        self.snapshots = Snapshots(t.client, t.keyspace)
        self.model, self.now, self.calls = Model(), NOON_MS, 0
        self.keys: dict[str, Stored] = {}
        self.book = Book(t.keyspace)
        self.tried: Counter[str] = Counter()
        self.trace: deque[str] = deque(maxlen=25)

    def begin(self) -> None:
        """Start again with nothing; calls go on being counted."""
        self.now = NOON_MS
        self.restore(Moment(Model(), [], {}, Book(self.keyspace)))
        self.trace.clear()

    def save(self) -> "Moment":
        """Return all there is, for :meth:`restore`."""
        return Moment(self.model, self.snapshots.save(), self.keys, self.book)

    def restore(self, moment: "Moment") -> None:
        """Make everything what it was, as often as you like."""
        self.model, self.book, self.keys = moment.model.copy(), moment.book.copy(), moment.keys
        self.snapshots.load(moment.saved)

    def step(
        self, call: ScriptCall[Any], expected: Any, read: Callable[[Any], Any], *, again: bool = False
    ) -> Any:
        """Carry out a call, again if it must be repeatable; return what ``read`` makes of the reply."""
        self.trace.append(f"{self.now - NOON_MS:+} {call.script} {' '.join(str(arg) for arg in call.args)}")
        got = read(self.run(call))
        self.judge(call, got, expected, self.snapshots.read())
        if again:
            self.run(call)
            self.calls += 1
            repeated = self.snapshots.read()
            assert repeated == self.keys, f"a repeat changed something (I16)\n{self.told()}"
        return got

    def judge(self, call: ScriptCall[Any], got: Any, expected: Any, keys: dict[str, Stored]) -> None:
        """Compare what a call replied and left with the model, and look at every invariant."""
        self.compare(call, got, expected)
        prefix = self.keyspace.prefix
        assert seen_state(keys, prefix) == self.model.state(), self.told()
        assert judge(keys, self.keyspace, RULES) == (), self.told()
        step = Step(call.script, texts(call.args), self.keys, keys)
        assert self.book.judge(step) == [], self.told()
        self.keys = keys

    def compare(self, call: ScriptCall[Any], got: Any, expected: Any) -> None:
        """Compare what a call replied with what it should, and count it."""
        self.calls += 1
        for each in got if isinstance(got, list) and call.script != "claim" else [got]:
            word = each[0] if isinstance(each, tuple) else each
            self.tried[f"{call.script} {word}" if isinstance(word, str) else call.script] += 1
        assert got == expected, self.told()

    def told(self) -> str:
        """Return the calls that led here, for a message."""
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
        call = transitions.settle(self.keyspace, worker, settlements, job_events=True, now_ms=self.now)
        expected = self.model.settle(worker, settlements, self.now)
        self.step(call, expected, lambda got: [reply.value for reply in got], again=again)

    def register(self, worker: str) -> None:
        call = transitions.register(self.keyspace, Lease(worker, LEASE_MS, b"{}", 60_000), now_ms=self.now)
        self.model.register(worker, self.now + LEASE_MS)
        self.step(call, self.now, lambda got: got.now_ms, again=True)

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
        call = transitions.cancel(self.keyspace, job_id, job_events=True, now_ms=self.now)
        self.step(call, self.model.cancel(job_id), lambda got: got.value, again=True)

    def requeue(self, job_ids: list[str], *, placed: bool = False, again: bool = True) -> None:
        places = None
        if placed:  # dead letters, told where they stand: oldest first
            stands = {each: place for place, each in enumerate(reversed(self.model.dlq))}
            job_ids = sorted(job_ids, key=stands.__getitem__)
            places = [stands[each] for each in job_ids]
        call = transitions.requeue(self.keyspace, "default", job_ids, places=places, now_ms=self.now)
        expected = self.model.requeue(job_ids, self.now)
        self.step(call, expected, lambda got: [reply.value for reply in got], again=again)

    def purge(self, job_ids: list[str], *, waiting_too: bool = False) -> None:
        call = transitions.purge(self.keyspace, "default", job_ids, waiting_too=waiting_too, now_ms=self.now)
        expected = self.model.purge(job_ids, waiting_too)
        self.step(call, expected, lambda got: [reply.value for reply in got], again=True)

    def repair(self, repairs: list[Repair], expected: list[str] | None = None) -> None:
        call = transitions.repair(self.keyspace, repairs, now_ms=self.now)
        expected = expected or self.model.repair(repairs)
        self.step(call, expected, lambda got: [reply.value for reply in got], again=True)
