"""Jobs under which a process died are claimed for places of their own (RELIABILITY.md 6.6)."""

from rrq_protocol import Job
from rrq_protocol.transitions import SettleKind
from support.transitions import Transitions, ids


def test_suspects_wait_in_the_queue_for_a_place(t: Transitions) -> None:
    """They take places and no slots, others take slots and no places; those behind them are found. Where a
    runner has no places they take slots.
    """
    t.register("a")
    t.enqueue(*(Job("f", job_id=f"a{n}") for n in range(4)))
    for job in t.claim().jobs:
        t.end(job, SettleKind.SUSPECT, "killed with 4 in flight")
    t.enqueue(*(Job("f", job_id=f"f{n}") for n in range(3)))
    claim = t.claim(free={"python": 2}, alone={"python": 1})
    assert sorted(ids(claim.jobs)) == ["a0", "f0", "f1"]
    assert claim.queues[0].skipped == 4
    assert ids(t.claim(free={"python": 9}, alone={"python": 0, "other": 9}).jobs) == ["f2"]
    assert ids(t.claim(free={"python": 0}, alone={"python": 1}).jobs) == ["a1"]
    assert ids(t.claim(free={"python": 1}, alone={"other": 0}).jobs) == ["a2"]
    assert t.queued("default") == ["a3"]
