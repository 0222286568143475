"""The counters of a real Redis against the jobs it has."""

from typing import Any

import pytest

from rrq_orchestrator.audit import Finding, Level, Look, Rules
from rrq_protocol import Job
from rrq_protocol.transitions import SettleKind
from support.audit import look_with
from support.transitions import Transitions


@pytest.fixture
def t(redis_client: Any, keyspace: Any) -> Transitions:
    """Return the transitions of a keyspace with a job that waits and one that ended."""
    made = Transitions(redis_client, keyspace)
    made.enqueue(Job("f", job_id="c"), Job("f", job_id="p"))
    made.register("a")
    (job,) = made.claim("a", 1).jobs
    made.end(job, SettleKind.COMPLETE)
    return made


def found(t: Transitions) -> list[Finding]:
    """Return what a look says of the counters, twice the same."""
    look = Look(t.keyspace, Rules(conserved=True))
    first = look_with(t.client, look.everything()).findings
    assert look_with(t.client, look.again(first)) == first
    return [each for each in first if each.rule == "I13"]


def test_they_add_up(t: Transitions) -> None:
    """Whatever else a stranger keeps in them."""
    assert found(t) == []
    t.client.hset(t.keyspace.stats("default"), mapping={"of_his_own": "9" * 5000, "run_ms": "x"})
    assert found(t) == []


def test_a_job_that_is_gone_is_missed(t: Transitions) -> None:
    """One that was accepted, never ended, and is nowhere."""
    t.client.delete(t.keyspace.job("p"), t.keyspace.queue("default"))
    (missed,) = found(t)
    assert (missed.level, missed.found) == (Level.WARNING, "1 jobs that nobody ended")


@pytest.mark.parametrize("text", ["9" * 4301, "-" + "9" * 20, "--1", "many", "", "²"])
def test_a_counter_that_is_none_is_named(t: Transitions, text: str) -> None:
    """No sum is made of it, and nothing stops."""
    t.client.hset(t.keyspace.stats("default"), "enqueued", text)
    (spoilt,) = found(t)
    assert (spoilt.key, spoilt.level) == (t.keyspace.stats("default"), Level.WARNING)
    assert "counter enqueued" in spoilt.problem
    assert len(spoilt.found) <= 40


def test_negative_counters_count(t: Transitions) -> None:
    """A counter that was set back is a number like any other."""
    t.client.hset(t.keyspace.stats("default"), "lost", "-3")
    assert [each.found for each in found(t)] == ["3 jobs that nobody ended"]


def test_a_key_of_another_type_is_not_added_up(t: Transitions) -> None:
    """It is told as such (F40)."""
    t.client.set(t.keyspace.stats("other"), "x")
    assert found(t) == []
