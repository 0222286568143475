"""What operators ask for: pause and resume of queues, draining of orchestrators."""

from rrq_protocol import transitions
from rrq_protocol.transitions import DrainReply, Paused, PauseReply
from support.transitions import Transitions


def test_a_paused_queue_hands_out_nothing(t: Transitions) -> None:
    """Jobs are accepted and stay; after the resume they are claimed, and somebody idle is woken."""
    pause, resume = (
        make(t.keyspace, "default", now_ms=t.now_ms) for make in (transitions.pause, transitions.resume)
    )
    t.register("a")
    assert t.run(pause) == Paused(PauseReply.PAUSED, 0)
    assert t.run(pause) == Paused(PauseReply.ALREADY, 0)
    t.add("j")
    assert t.claim("a").jobs == ()
    t.client.delete(t.keyspace.wake("default"))
    assert t.run(resume) == Paused(PauseReply.RESUMED, 1)
    assert t.client.llen(t.keyspace.wake("default")) == 1
    assert [job.id for job in t.claim("a").jobs] == ["j"]
    assert t.run(resume) == Paused(PauseReply.ALREADY, 0)


def test_only_due_jobs_wake_at_a_resume(t: Transitions) -> None:
    """A job that is due later wakes nobody."""
    t.run(transitions.pause(t.keyspace, "default"))
    t.add("j", defer_by=60)
    t.client.delete(t.keyspace.wake("default"))
    t.run(transitions.resume(t.keyspace, "default", now_ms=t.now_ms))
    assert t.client.llen(t.keyspace.wake("default")) == 0


def test_a_drain_is_asked_of_whoever_lives(t: Transitions) -> None:
    """One request however often, none for an orchestrator without a lease or with one that is past."""
    t.start("j")
    now = t.now_ms
    assert t.run(transitions.drain(t.keyspace, "a", now_ms=now)) is DrainReply.ASKED
    assert t.run(transitions.drain(t.keyspace, "a", now_ms=now)) is DrainReply.ASKED
    control = t.keyspace.control("a")
    assert t.client.lrange(control, 0, -1) == [b"drain"]
    assert 0 < t.client.ttl(control) <= 3600
    assert t.run(transitions.drain(t.keyspace, "nobody", now_ms=now)) is DrainReply.UNKNOWN
    assert t.client.exists(t.keyspace.control("nobody")) == 0
    assert t.run(transitions.drain(t.keyspace, "a", now_ms=now + 10**9)) is DrainReply.LAPSED
    assert t.client.exists(control) == 0
