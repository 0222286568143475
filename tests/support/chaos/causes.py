"""Why a job was executed again, or charged a crash: each repeat has to be explained by something that
happened to its process or its orchestrator. What happens to Redis or to connections explains none
(RELIABILITY.md 5, G2 and G8).
"""

from collections.abc import Iterable

from support.chaos.evidence import Evidence, Execution
from support.chaos.mix import ENDINGS

__all__ = ["Causes"]

_ENDS_ORCHESTRATOR = ("orchestrator.kill", "orchestrator.drain")
_SILENCES = ("orchestrator.pause", "network.")


class Causes:
    """Answers questions about one round's evidence.

    Attributes:
        false_deaths: Orchestrators declared dead though the bench had not silenced them.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._killed = {pid: f.at for f in evidence.faults if f.kind == "runner.kill" for pid in f.pids}
        self._on: dict[int, list[Execution]] = {}
        self._broke: dict[int, float] = {}
        for execution in _all(evidence):
            start = execution.start
            self._on.setdefault(start.pid, []).append(execution)
            attempted = evidence.attempted.get(start.job)
            ending = ENDINGS[attempted.function] if attempted else None
            # Poison ends its process; who does not end at the deadline has it replaced.
            if ending and (ending.lethal or ending.timed_out):
                self._broke[start.pid] = min(start.at, self._broke.get(start.pid, start.at))
        self._ended: dict[int, list[float]] = {}
        self._deaths: dict[int, list[float]] = {}
        for fault in evidence.faults:
            for pid in fault.pids:
                if fault.kind in _ENDS_ORCHESTRATOR:
                    self._ended.setdefault(pid, []).append(fault.at)
                if fault.kind == "orchestrator.kill":
                    self._deaths.setdefault(pid, []).append(fault.at)
        self._fenced = {fence.owner: fence.at for fence in evidence.fences}
        for times in (*self._ended.values(), *self._deaths.values()):
            times.sort()
        self.false_deaths = [
            fence.pid for fence in evidence.fences if not self._silenced(fence.pid, fence.at)
        ]

    def of_repeat(self, before: Execution, again: Execution) -> str:
        """Return why ``before`` was followed by ``again``; empty if nothing explains it."""
        start, until = before.start, again.start.at
        if before.end is not None and before.end.what == "failed":
            return "its attempt failed"
        if self._killed.get(start.pid, until) < until:
            return "its runner was killed"
        if self._broke.get(start.pid, until) < until:
            return "its runner was broken by a job"
        # Told to stop, it may still have started what its last claim brought.
        if any(at < until for at in self._ended.get(start.parent, [])):
            return "its orchestrator ended"
        # It may have been dead to the others before it started this one, without knowing yet.
        if self._fenced.get(start.owner, until) < until:
            return "its orchestrator was declared dead"
        return ""

    def may_charge(self, execution: Execution) -> bool:
        """Whether a crash may be charged for this execution of a job that harms nobody: its orchestrator
        died, or the bench killed its process while it was alone in there.
        """
        start = execution.start
        deaths = self._deaths.get(start.parent, [])
        if (deaths and deaths[-1] >= start.at) or start.owner in self._fenced:
            return True
        at = self._killed.get(start.pid)
        if at is None or at < start.at:
            return False
        return not any(other.runs_at(at) for other in self._on[start.pid] if other is not execution)

    def hit(self) -> int:
        """Return how many executions were in hand at kills, stops and fences of their processes: under way,
        or begun by an orchestrator that had been told to stop, or declared dead, without knowing yet.
        """
        struck: set[tuple[str, int]] = set()
        for execution in _all(self._evidence):
            start, end = execution.start, execution.end
            moments = [each[start.pid] for each in (self._killed, self._broke) if start.pid in each]
            ends = self._ended.get(start.parent, [])
            late = any(at < start.at for at in ends) and (end is None or end.what == "cancelled")
            if start.owner in self._fenced:
                moments.append(self._fenced[start.owner])
                late = late or self._fenced[start.owner] < start.at
            if late or any(execution.runs_at(at) for at in (*moments, *ends)):
                struck.add((start.job, execution.number))
        return len(struck)

    def _silenced(self, pid: int, at: float) -> bool:
        """Whether the bench had killed, stopped or cut off a process so that it could be taken for dead."""
        evidence = self._evidence
        for fault in evidence.faults:
            if fault.kind == "orchestrator.kill" and pid in fault.pids and fault.at <= at:
                return True
            # Cut connections may keep a process from beating for a while after the fault.
            late = max(fault.until, fault.at) + 3 * evidence.lease_s
            if pid in fault.pids and fault.kind.startswith(_SILENCES) and fault.at <= at <= late:
                return True
        return any(each.pid == pid and 0 < each.ended <= at for each in evidence.incarnations)


def _all(evidence: Evidence) -> Iterable[Execution]:
    for executions in evidence.executions.values():
        yield from executions
