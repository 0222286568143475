"""Repairs are carried out in an order that loses nothing."""

import pytest

from rrq_orchestrator.audit import Finding
from rrq_orchestrator.audit.mend import in_order, mend, repairable
from rrq_protocol import Job
from rrq_protocol.transitions import Evidence, Repair, RepairKind, RepairReply
from support.orchestrating import Bench

pytestmark = pytest.mark.anyio


def fault(kind: RepairKind | None, job_id: str = "j", place: str = "") -> Finding:
    """Return a finding with such a repair."""
    repair = None if kind is None else Repair(kind, job_id, Evidence("PENDING"), place)
    return Finding(rule="I1", key="k", expected="a", found="b", job_id=job_id, repair=repair)


def test_entries_are_added_before_others_are_taken_out() -> None:
    """A job in the wrong queue only is never in none; what cannot be repaired is left out."""
    kinds = [RepairKind.QUEUED, None, RepairKind.QUEUE, RepairKind.HELD, RepairKind.OWNER]
    ordered = in_order([fault(kind) for kind in kinds])
    assert [each.repair.kind for each in ordered if each.repair] == [
        RepairKind.QUEUE, RepairKind.OWNER, RepairKind.QUEUED, RepairKind.HELD
    ]  # fmt: skip


def test_counters_are_made_good_last() -> None:
    """Another fault may be what they miss."""
    queue, counters = fault(RepairKind.QUEUE), fault(RepairKind.COUNTERS)
    assert repairable([counters, fault(None), queue]) == (queue,)
    assert repairable([counters, fault(None)]) == (counters,)
    assert repairable([fault(None)]) == ()


async def test_each_finding_gets_its_answer(bench: Bench) -> None:
    """In more than one call where there are many."""
    ids = await bench.enqueue(*(Job("work") for _ in range(150)))
    await bench.client.delete(bench.keyspace.queue("default"))
    faults = [fault(RepairKind.QUEUE, each) for each in ids]
    done = await mend([*faults, fault(RepairKind.TTL, "ghost")], bench.keyspace, bench.link)
    assert [reply for _, reply in done] == [RepairReply.REPAIRED] * 150 + [RepairReply.CHANGED]
    assert await bench.client.zcard(bench.keyspace.queue("default")) == 150
