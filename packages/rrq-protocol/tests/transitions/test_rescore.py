"""Due times after a step of the server's clock."""

from typing import Any

from rrq_protocol import Job, transitions
from rrq_protocol.transitions import Rescored
from support.transitions import NOON_MS, Transitions

HOUR_MS = 3_600_000


def step_back(t: Transitions, **options: Any) -> Rescored:
    """Carry out a rescore for a clock that stands an hour behind what it was."""
    before = t.now_ms
    t.now_ms -= HOUR_MS
    try:
        return t.run(transitions.rescore(t.keyspace, "default", float(before), now_ms=t.now_ms, **options))
    finally:
        t.now_ms = before


def test_what_was_due_is_due_again_in_its_order(t: Transitions) -> None:
    """And what was not due waits as long as it would have, by the clock as it is now."""
    for number in range(5):
        t.add(f"j{4 - number}")
        t.now_ms += 10
    t.add("later", defer_by=60)
    t.client.delete(t.keyspace.wake("default"))
    assert step_back(t) == Rescored(5, 0)
    assert t.client.exists(t.keyspace.wake("default"))
    t.now_ms -= HOUR_MS
    t.register("a")
    assert [job.id for job in t.claim().jobs] == ["j4", "j3", "j2", "j1", "j0"]
    assert t.due_ms("later") == NOON_MS + 50 + 60_000


def test_a_step_is_made_good_once(t: Transitions) -> None:
    """Somebody who notices later does not touch what was deferred meanwhile; nothing runs early."""
    t.add("due")
    assert step_back(t).moved == 1
    t.now_ms -= HOUR_MS
    t.add("deferred", defer_by=600)
    t.now_ms += HOUR_MS
    assert step_back(t) == Rescored(0, 0)
    assert t.due_ms("deferred") == NOON_MS - HOUR_MS + 600_000


def test_it_goes_in_bounded_pieces(t: Transitions) -> None:
    """However many were due, a call moves so many; the order holds across calls."""
    t.enqueue(*(Job("f", job_id=f"j{n}") for n in range(10)))
    assert step_back(t, limit=4) == Rescored(4, 6)
    t.now_ms += 1
    assert step_back(t, limit=4) == Rescored(4, 2)
    t.now_ms += 1
    assert step_back(t, limit=4) == Rescored(2, 0)
    t.now_ms -= HOUR_MS
    t.register("a")
    assert [job.id for job in t.claim().jobs] == [f"j{n}" for n in range(10)]


def test_a_queue_of_the_wrong_type_is_left_alone(t: Transitions) -> None:
    """There is nothing to move in it, and nobody stops over it (F40)."""
    t.client.set(t.keyspace.queue("default"), "x")
    assert step_back(t) == Rescored(0, 0)
    t.client.delete(t.keyspace.queue("default"))
