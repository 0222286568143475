"""Everything that is known after a round, read once and sorted; what follows looks at nothing else."""

import json
import signal
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rrq_protocol import JobRecord, MalformedRecord, parse_record
from support.audit import audit
from support.chaos.ledger import (
    Acknowledged,
    Attempted,
    Entry,
    Fault,
    Merged,
    Refused,
    Seen,
    read_ledger,
    read_witness,
)
from support.chaos.options import Options
from support.chaos.slots import Incarnation
from support.chaos.stage import Stage

__all__ = ["Evidence", "Execution", "Fence", "Suspicion", "collect", "executions_of"]

_FORCED = 3
# A stop takes no longer than this.
_STOPPING_S = 30.0


@dataclass(frozen=True)
class Execution:
    """A handler's start, and its end if there was one.

    Attributes:
        start: The first line.
        end: The second one.
        number: Its place among the executions of its job, from 0.
    """

    start: Seen
    end: Seen | None
    number: int

    def runs_at(self, at: float) -> bool:
        """Whether it had started and not ended."""
        return self.start.at < at and (self.end is None or self.end.at > at)


@dataclass(frozen=True)
class Fence:
    """An orchestrator was declared dead: when, which process, and under which id."""

    at: float
    pid: int
    owner: str


@dataclass(frozen=True)
class Suspicion:
    """A process died under a job: when that was noticed, and when the job was due again."""

    at: float
    due: float


@dataclass
class Evidence:
    """See the module.

    Attributes:
        attempted: Every job a producer was about to enqueue.
        acknowledged: When a producer was told that it is accepted.
        merged: Jobs for which another one stands.
        refused: Jobs for which there was no memory.
        executions: Per job, in the order of their claims.
        records: What Redis holds.
        events: The terminal events of each job, in order.
        dead: How often a job is in the dead letter queue.
        counted: The counters, summed over the queues.
        faults: What the bench did, in order.
        fences: Orchestrators that were declared dead.
        incarnations: All processes that were started.
        suspects: Jobs that had to run alone because a process died under them, as the orchestrators logged
            it.
        started: How long each start of a runner process took.
        stale: Ends that came too late and were refused, as the orchestrators logged them.
        problems: What was wrong apart from single jobs: exits, processes left, tracebacks, findings of the
            key-space auditor.
        max_crashes: As in the settings.
        lease_s: As in the settings.
        held: When the machine kept the bench itself from running, and for how long (``Pulse.held``).
    """

    attempted: dict[str, Attempted] = field(default_factory=dict)
    acknowledged: dict[str, float] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    executions: dict[str, list[Execution]] = field(default_factory=dict)
    records: dict[str, JobRecord] = field(default_factory=dict)
    events: dict[str, list[str]] = field(default_factory=dict)
    dead: Counter[str] = field(default_factory=Counter)
    counted: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    fences: list[Fence] = field(default_factory=list)
    incarnations: list[Incarnation] = field(default_factory=list)
    suspects: dict[str, list[Suspicion]] = field(default_factory=dict)
    started: list[float] = field(default_factory=list)
    stale: int = 0
    problems: list[str] = field(default_factory=list)
    max_crashes: int = 3
    lease_s: float = 10.0
    held: list[tuple[float, float]] = field(default_factory=list)


def collect(stage: Stage, options: Options, faults: Sequence[Fault], problems: Sequence[str]) -> Evidence:
    """Read all accounts, after everything has stopped but Redis."""
    found = Evidence(
        faults=sorted(faults, key=lambda fault: fault.at),
        problems=list(problems),
        max_crashes=options.max_crashes,
        lease_s=options.lease_s,
    )
    for path in stage.ledgers:
        _add_ledger(found, read_ledger(path))
    found.executions = executions_of(read_witness(stage.witness))
    found.incarnations = [each for slot in stage.slots for each in slot.history]
    _add_logs(found)
    _add_redis(found, stage)
    wrong = audit(
        stage.client, stage.keyspace, max_crashes=options.max_crashes, job_events=True, conserved=True
    )
    found.problems += [f"{each.rule} {each.key}: {each.problem}" for each in wrong]
    return found


def executions_of(seen: Iterable[Seen]) -> dict[str, list[Execution]]:
    """Return the executions of each job, by their claims: one that an orchestrator held back while it was
    declared dead may start after its successor. Two starts of one request are two executions.
    """
    starts: dict[str, list[Seen]] = {}
    ends: dict[tuple[str, int], Seen] = {}
    for each in sorted(seen, key=lambda line: line.at):
        if each.what == "start":
            starts.setdefault(each.job, []).append(each)
        else:
            ends[each.request, each.pid] = each
    return {
        job: [Execution(start, ends.get((start.request, start.pid)), n) for n, start in enumerate(lines)]
        for job, several in starts.items()
        if (lines := sorted(several, key=lambda line: (line.claim_seq, line.at)))
    }


def _add_ledger(found: Evidence, entries: Iterable[Entry]) -> None:
    for entry in entries:
        match entry:
            case Attempted():
                found.attempted[entry.id] = entry
            case Acknowledged():
                found.acknowledged[entry.id] = entry.at
            case Merged():
                found.merged[entry.id] = entry.into
            case Refused():
                found.refused.add(entry.id)


def _add_logs(found: Evidence) -> None:
    """Read the orchestrators' logs: fences, late ends, and what no log should hold."""
    pids: dict[str, int] = {}
    fenced: list[tuple[str, float]] = []
    # The logs tell the time of day; the bench's times are monotonic.
    offset = time.time() - time.monotonic()
    for each in found.incarnations:
        if each.unasked and not _forced(each, found.faults):
            found.problems.append(f"{each.slot} (process {each.pid}): ended by itself, code {each.code}")
        text = each.log.read_text(errors="replace")
        if "Traceback" in text:
            found.problems.append(f"{each.slot} (process {each.pid}): a traceback in {each.log.name}")
        for event in _events(text):
            match event["event"]:
                case "orchestrator.registered":
                    pids[event["orchestrator"]] = each.pid
                case "orchestrator.fenced" | "orchestrator.was_fenced" | "redis.state_lost":
                    fenced.append((event["orchestrator"], _moment(event) - offset))
                case "job.suspected" | "job.crashed":
                    at = _moment(event) - offset
                    suspicion = Suspicion(at, at + event["delay_s"])
                    found.suspects.setdefault(event["job_id"], []).append(suspicion)
                case "runner.started":
                    found.started.append(event["took_s"])
                case "settle.stale":
                    found.stale += 1
    earliest = {name: min(at for other, at in fenced if other == name) for name, _ in fenced}
    found.fences = sorted(
        (Fence(at, pids[name], name) for name, at in earliest.items() if name in pids),
        key=lambda fence: fence.at,
    )


def _forced(each: Incarnation, faults: Sequence[Fault]) -> bool:
    """Whether it was told to stop while it could not reach Redis, and said by exit code 3 that it left work
    to the others.
    """
    if each.code != _FORCED or signal.SIGTERM not in each.signals:
        return False
    return any(
        fault.kind.startswith("redis.") or each.pid in fault.pids
        for fault in faults
        if not fault.kind.startswith("orchestrator.")
        if max(fault.at, fault.until) > each.ended - _STOPPING_S
    )


def _moment(event: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(event["timestamp"]).timestamp()


def _events(text: str) -> Iterable[Mapping[str, Any]]:
    for line in text.splitlines():
        # A killed process may have left the beginning of a line.
        if line.startswith("{") and line.endswith("}"):
            yield json.loads(line)


def _add_redis(found: Evidence, stage: Stage) -> None:
    client, keyspace = stage.client, stage.keyspace
    start = len(keyspace.job(""))
    ids = sorted({key.decode()[start:] for key in client.scan_iter(match=f"{keyspace.job('')}*", count=1000)})
    for first in range(0, len(ids), 500):
        some = ids[first : first + 500]
        with client.pipeline(transaction=False) as pipe:
            for job_id in some:
                pipe.hgetall(keyspace.job(job_id))
                pipe.xrange(keyspace.events(job_id))
            rows = pipe.execute()
        for job_id, fields, events in zip(some, rows[::2], rows[1::2], strict=True):
            try:
                found.records[job_id] = parse_record(fields)
            except MalformedRecord as error:
                found.problems.append(str(error))
            found.events[job_id] = [entry[b"status"].decode() for _, entry in events]
    dead: Any = client.lrange(keyspace.dlq("default"), 0, -1)
    found.dead = Counter(entry.decode() for entry in dead)
    counters: Any = client.hgetall(keyspace.stats("default"))
    found.counted = Counter({name.decode(): int(value) for name, value in counters.items()})
