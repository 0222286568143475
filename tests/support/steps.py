"""The invariants that show only between two looks: what one call may change (RELIABILITY.md 2.2, 2.3).

The auditor judges what there is. A token that went back (I5), a job that ended twice (I6), a counter that
moved with another transition (I10) or a neighbour that was touched (I15) leave nothing behind that it could
see.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rrq_protocol import Keyspace
from support.audit import Stored

__all__ = ["Book", "Step", "texts"]

Record = Mapping[str, str]
Looked = Mapping[str, Stored]

_WAITING = ("PENDING", "RETRYING")
_ENDED = ("COMPLETED", "FAILED", "CANCELLED")


def _moves(sources: tuple[str, ...], targets: tuple[str, ...]) -> set[tuple[str, str]]:
    return {(source, target) for source in sources for target in targets}


# From which status to which a call takes a job; "" where there is no record. Table 2.2.
MOVES = {
    "enqueue": {("", "PENDING"), ("PENDING", "PENDING")},
    "claim": _moves(_WAITING, ("ACTIVE",)),
    "settle": _moves(("ACTIVE",), (*_WAITING, *_ENDED)),
    "recover": _moves(("ACTIVE",), ("PENDING", "FAILED", "CANCELLED")),
    "cancel": {*_moves(_WAITING, ("CANCELLED",)), ("ACTIVE", "ACTIVE")},
    "requeue": {("FAILED", "PENDING")},
    "purge": _moves((*_WAITING, *_ENDED), ("",)),
    "repair": {(status, status) for status in (*_WAITING, "ACTIVE", *_ENDED)},
}  # fmt: skip
CHARGES = {"current_retries": ("settle",), "crash_count": ("settle", "recover")}
# Attempts are new with a requeue, and with a new request for a job that waits.
CLEARS = {"current_retries": ("requeue", "enqueue"), "crash_count": ("requeue",)}


@dataclass(frozen=True)
class Step:
    """One call and what was there before and after it."""

    script: str
    args: tuple[str, ...]
    before: Looked
    after: Looked


@dataclass
class Book:
    """Judges steps, and remembers who held which token.

    Attributes:
        holders: The orchestrator that was given a token, by job and token.
    """

    keyspace: Keyspace
    holders: dict[tuple[str, str], str] = field(default_factory=dict)

    def judge(self, step: Step) -> list[str]:
        """Return what must not be, each with its rule."""
        before, after = self._jobs(step.before), self._jobs(step.after)
        may_change = _CONCERNED.get(step.script, _nobody)(self, step)
        found: list[str] = []
        for job_id in sorted(before.keys() | after.keys()):
            was, now = before.get(job_id, {}), after.get(job_id, {})
            if was == now:
                continue
            if job_id not in may_change:
                found.append(f"I15 {job_id}: changed by a {step.script} of others")
            found += [f"{each} ({step.script} of {job_id})" for each in _changed(step.script, was, now)]
            found += self._held(job_id, now)
        return found

    def copy(self) -> "Book":
        """Return an independent copy."""
        return Book(self.keyspace, dict(self.holders))

    def _held(self, job_id: str, now: Record) -> Iterator[str]:
        if not now:
            # Its id is free again, and so are its tokens.
            for token in [each for each in self.holders if each[0] == job_id]:
                del self.holders[token]
            return
        seq, worker = now.get("claim_seq", "0"), now.get("worker_id")
        if worker is not None and self.holders.setdefault((job_id, seq), worker) != worker:
            yield f"I5 {job_id}: token {seq} of {self.holders[job_id, seq]} is held by {worker} too"

    def _jobs(self, keys: Looked) -> dict[str, Record]:
        start = self.keyspace.job("")
        return {
            key.removeprefix(start): stored.value for key, stored in keys.items() if key.startswith(start)
        }


def _changed(script: str, was: Record, now: Record) -> Iterator[str]:
    """Yield what is wrong with the change of one record."""
    move = was.get("status", ""), now.get("status", "")
    if move not in MOVES.get(script, set()):
        rule = "I3" if not was else "I6" if move[0] in _ENDED else "I13" if not now else "2.2"
        yield f"{rule}: from {move[0] or 'nothing'} to {move[1] or 'nothing'}"
    if not was or not now:
        return
    seq, next_seq = (int(each.get("claim_seq", 0)) for each in (was, now))
    if next_seq != seq + (script == "claim"):
        yield f"I5: token {next_seq} after {seq}"
    for counter, scripts in CHARGES.items():
        had, has = (int(each.get(counter, 0)) for each in (was, now))
        charged = has == had + 1 and script in scripts
        cleared = has == 0 and script in CLEARS[counter]
        if has != had and not charged and not cleared:
            yield f"I10: {counter} {has} after {had}"


# Whom a call is about (I15).


def _nobody(_: Book, __: Step) -> set[str]:
    return set()


def _named(_: Book, step: Step) -> set[str]:
    return set(step.args)


def _enqueued(book: Book, step: Step) -> set[str]:
    """Those named, and whom a debounce gathers into."""
    start = book.keyspace.debounce("")
    return {*step.args, *(stored.value for key, stored in step.before.items() if key.startswith(start))}


def _waiting(book: Book, step: Step) -> set[str]:
    """Return who is in a queue that the claim names."""
    places = [step.before.get(book.keyspace.queue(each)) for each in step.args if each and ":" not in each]
    return {job_id for place in places if place is not None for job_id in place.value}


def _owned(book: Book, step: Step) -> set[str]:
    """Return those attempts named that the caller holds: by owner and token, and still running."""
    named = set(zip(step.args, step.args[1:], strict=False))
    return {
        job_id
        for job_id, job in book._jobs(step.before).items()
        if (job_id, job.get("claim_seq")) in named
        and (job["status"], job.get("worker_id")) == ("ACTIVE", step.args[1])
    }


def _of_the_dead(book: Book, step: Step) -> set[str]:
    """Return who is in the active set of the one that was fenced; nobody, if it was not."""
    dead, nothing = step.args[1], Stored("zset", False, {})
    if dead not in step.before.get(book.keyspace.reaping, nothing).value:
        return set()
    return set(step.before.get(book.keyspace.active(dead), nothing).value)


_CONCERNED: dict[str, Callable[[Book, Step], set[str]]] = {
    "enqueue": _enqueued, "claim": _waiting, "settle": _owned, "recover": _of_the_dead, "cancel": _named,
    "requeue": _named, "purge": _named, "repair": _named,
}  # fmt: skip


def texts(args: Any) -> tuple[str, ...]:
    """Return the arguments of a call as texts."""
    return tuple(each.decode() if isinstance(each, bytes) else str(each) for each in args)
