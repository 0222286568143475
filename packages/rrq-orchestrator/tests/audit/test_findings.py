"""Findings: what makes two of them the same, and how many are kept."""

import msgspec

from rrq_orchestrator.audit import Finding
from rrq_orchestrator.audit.findings import Level, Tally
from rrq_protocol.transitions import Repair, RepairKind


def finding(n: int = 0) -> Finding:
    """Return the finding of a job."""
    job_id = f"j{n}"
    repair = Repair(RepairKind.QUEUE, job_id, due_ms=n)
    return Finding(rule="I1", key="k", expected="a", found="b", job_id=job_id, repair=repair)


def test_a_finding_says_what_was_expected() -> None:
    """In one sentence."""
    assert finding().problem == "expected a, found b"
    assert finding().level is Level.ERROR


def test_the_due_time_of_a_repair_does_not_tell_two_findings_apart() -> None:
    """All that identifies a fault does."""
    one, repair = finding(), Repair(RepairKind.QUEUE, "j0", due_ms=9)
    assert msgspec.structs.replace(one, repair=repair).identity == one.identity
    other = msgspec.structs.replace(one, repair=Repair(RepairKind.QUEUED, "j0", place="q"))
    assert other.identity != one.identity


def test_a_tally_keeps_each_once_and_not_too_many() -> None:
    """What a scan meets twice counts once; beyond the limit findings are only counted."""
    tally = Tally(2)
    for n in (0, 0, 1, 2, 1, 3):
        tally.add(finding(n))
    assert [each.job_id for each in tally.findings] == ["j0", "j1"]
    assert tally.left_out == 2
