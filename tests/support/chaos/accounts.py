"""Accounts of a round in which all is well, for tests of the judge to spoil."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from rrq_protocol import JobRecord, JobStatus
from support.chaos.evidence import Evidence, executions_of
from support.chaos.judge import judge
from support.chaos.ledger import Attempted, Fault, Seen

__all__ = ["NOON", "ORCHESTRATOR", "RUNNER", "Accounts", "good_accounts"]

RUNNER, ORCHESTRATOR = 20, 10
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Accounts:
    """Accounts of a round in which all is well, to be spoilt."""

    def __init__(self) -> None:
        self.evidence = Evidence(max_crashes=3, lease_s=1.5)
        self.seen: list[Seen] = []

    def job(self, job_id: str, function: str = "quick", *, ended: bool = True, **asked: Any) -> None:
        """Let a job be accepted; unless told otherwise it is executed and ends as it should."""
        self.evidence.attempted[job_id] = Attempted(job_id, 1.0, function, **asked)
        self.evidence.acknowledged[job_id] = 1.1
        self.record(job_id)
        if ended:
            self.run(job_id, 1)

    def record(self, job_id: str, status: JobStatus = JobStatus.COMPLETED, **fields: Any) -> None:
        """Set what Redis holds of a job."""
        whole = {"result": f'"{job_id}.1"', "claim_seq": 1, "completion_time": NOON, **fields}
        self.evidence.records[job_id] = JobRecord(
            id=job_id, function_name="f", params="{}", status=status, enqueue_time=NOON, **whole
        )
        self.evidence.events[job_id] = [status.value] if status.is_terminal else []
        self.evidence.dead[job_id] = int(status is JobStatus.FAILED)

    def run(
        self,
        job_id: str,
        claim: int,
        end: str = "ok",
        *,
        at: float = 2.0,
        took: float = 0.5,
        pid: int = RUNNER,
        parent: int = ORCHESTRATOR,
        owner: str = "",
    ) -> None:
        """Let the witness see an execution; with an empty ``end`` only its start."""
        line = Seen("start", job_id, f"{job_id}.{claim}", 1, pid, parent, owner or f"o{parent}", at)
        self.seen.append(line)
        if end:
            self.seen.append(msgspec.structs.replace(line, what=end, at=at + took))

    def fault(self, kind: str, at: float, *pids: int, until: float = 0.0) -> None:
        """Let the bench do something."""
        self.evidence.faults.append(Fault(kind, at, pids, until))

    def whole(self) -> Evidence:
        """Return the accounts, with counters that fit the records."""
        evidence = self.evidence
        evidence.executions = executions_of(self.seen)
        evidence.counted.update(str(record.status).lower() for record in evidence.records.values())
        evidence.counted["enqueued"] += len(evidence.records)
        return evidence

    def rules(self) -> set[str]:
        """Return the rules that the judge finds broken."""
        return {each.rule for each in judge(self.whole())}


def good_accounts() -> Accounts:
    """Return accounts of some jobs that went well: a success, a retry that succeeds, a deadline."""
    good = Accounts()
    good.job("a")
    good.job("b", "flaky", fails=1, ended=False)
    good.record("b", claim_seq=2, current_retries=1, result='"b.2"')
    good.run("b", 1, "failed")
    good.run("b", 2, at=3.0)
    good.job("c", "endless", fails=1, ended=False)
    good.record("c", JobStatus.FAILED, current_retries=1)
    good.run("c", 1, "cancelled", pid=21)
    return good
