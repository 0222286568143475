"""What one call may change: each invariant that shows only between two looks is broken once, and found."""

from collections.abc import Callable
from typing import Any

import pytest

from rrq_protocol import Job
from rrq_protocol.transitions import SettleKind
from support.audit import read_keys
from support.steps import Book, Step
from support.transitions import Transitions


def populated(t: Transitions) -> Transitions:
    """Bring jobs into every state: p pending, r retrying, a active, c completed, d dead, x cancelled."""
    t.register("w")
    t.enqueue(*(Job("f", job_id=name) for name in "racd"))
    for job in t.claim("w").jobs:
        kind = {"r": SettleKind.RETRY, "d": SettleKind.FAIL, "c": SettleKind.COMPLETE}.get(job.id)
        if kind is not None:
            t.end(job, kind, "null", delay_ms=60_000, orchestrator="w")
    t.add("p")
    t.add("x")
    t.cancel("x")
    return t


Change = Callable[[Any, Any], object]
OWNED = ("prefix", "w", "", "", "", "a", "1")  # a settle by the owner of job a

BREAKS: list[tuple[str, str, str, tuple[str, ...], Change]] = [
    ("I3", "from nothing", "settle", (*OWNED, "g"), lambda r, k: r.hset(k.job("g"), "status", "COMPLETED")),
    ("I5", "a token back", "settle", OWNED, lambda r, k: r.hset(k.job("a"), "claim_seq", 0)),
    ("I5", "a token on", "settle", OWNED, lambda r, k: r.hset(k.job("a"), "claim_seq", 2)),
    ("I5", "no token", "claim", ("", "w", "default"), lambda r, k: r.hset(k.job("p"), "status", "ACTIVE")),
    ("I5", "two holders", "settle", OWNED, lambda r, k: r.hset(k.job("a"), "worker_id", "v")),
    ("I6", "ends again", "settle", OWNED, lambda r, k: r.hset(k.job("c"), "status", "FAILED")),
    ("I6", "goes on", "cancel", ("", "x"), lambda r, k: r.hset(k.job("x"), "status", "PENDING")),
    ("I6", "completed is requeued", "requeue", ("c",), lambda r, k: r.hset(k.job("c"), "status", "PENDING")),
    ("2.2", "ends unstarted", "settle", OWNED, lambda r, k: r.hset(k.job("p"), "status", "COMPLETED")),
    ("I10", "two at once", "settle", OWNED, lambda r, k: r.hincrby(k.job("a"), "current_retries", 2)),
    ("I10", "not to pay", "recover", ("", "w"), lambda r, k: r.hincrby(k.job("a"), "current_retries", 1)),
    ("I10", "a crash nobody had", "cancel", ("", "a"), lambda r, k: r.hincrby(k.job("a"), "crash_count", 1)),
    ("I10", "forgiven", "claim", ("", "w", "default"), lambda r, k: r.hset(k.job("r"), "current_retries", 0)),
    ("I13", "gone", "settle", OWNED, lambda r, k: r.delete(k.job("a"))),
    ("I15", "a neighbour", "settle", OWNED, lambda r, k: r.hset(k.job("r"), "last_error", "mine")),
    ("I15", "of another queue", "claim", ("", "w", "other"), lambda r, k: r.hset(k.job("p"), "note", "")),
    ("I15", "of the living", "recover", ("", "w"), lambda r, k: r.hset(k.job("a"), "status", "PENDING")),
    ("I15", "not its owner", "settle", ("", "v", "a", "1"), lambda r, k: r.hset(k.job("a"), "note", "")),
    ("I15", "not its token", "settle", ("", "w", "a", "2"), lambda r, k: r.hset(k.job("a"), "note", "")),
    ("I15", "by a beat", "heartbeat", ("w",), lambda r, k: r.hset(k.job("a"), "note", "")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "what", "script", "args", "change"), BREAKS, ids=[f"{row[0]} {row[1]}" for row in BREAKS]
)
def test_a_broken_step_is_found(
    damaged: Transitions, rule: str, what: str, script: str, args: tuple[str, ...], change: Change
) -> None:
    """What a script has no right to change is reported with the rule it breaks."""
    t = populated(damaged)
    before = read_keys(t.client, t.keyspace)
    change(t.client, t.keyspace)
    book = Book(t.keyspace, {("a", "1"): "w"})
    found = book.judge(Step(script, args, before, read_keys(t.client, t.keyspace)))
    assert any(each.startswith(rule) for each in found), found


def test_what_a_call_is_there_for_is_in_order(t: Transitions) -> None:
    """A claim, and a settle by the owner, change what they may."""
    populated(t)
    book = Book(t.keyspace)
    first = read_keys(t.client, t.keyspace)
    (job,) = t.claim("w").jobs
    second = read_keys(t.client, t.keyspace)
    assert book.judge(Step("claim", ("", "w", "default"), first, second)) == []
    assert book.holders == {("p", "1"): "w"}
    t.end(job, SettleKind.RETRY, "null", delay_ms=1, orchestrator="w")
    third = read_keys(t.client, t.keyspace)
    assert book.judge(Step("settle", ("prefix", "w", "p", "1"), second, third)) == []
    assert book.judge(Step("settle", ("prefix", "w", "p", "1"), third, third)) == []
