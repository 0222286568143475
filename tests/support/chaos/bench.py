"""One round: set the stage, let the storm pass, wait until everything has settled, and judge."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec
import redis

from rrq_protocol import JobStatus
from support.chaos.evidence import Evidence, collect
from support.chaos.faults import Storm
from support.chaos.figures import Figures, figures_of
from support.chaos.judge import Finding, judge, judge_figures
from support.chaos.ledger import Attempted, append, read_ledger
from support.chaos.options import Options
from support.chaos.pacing import Gate, Pulse, Tally
from support.chaos.slots import REGISTERED
from support.chaos.stage import Stage

__all__ = ["Outcome", "doctor", "run_round"]

_TERMINAL = frozenset(each.value.encode() for each in JobStatus if each.is_terminal)
_SHOWN = 12
_LOOK_S = 0.25


@dataclass(frozen=True)
class Outcome:
    """What became of a round.

    Attributes:
        figures: Its numbers.
        findings: What is wrong.
        report: The findings with all that is known of the jobs concerned.
        folder: Where everything is kept if there are findings.
    """

    figures: Figures
    findings: list[Finding]
    report: list[str]
    folder: Path


def run_round(options: Options, say: Callable[[str], None] = print) -> Outcome:
    """Play a round."""
    began = time.monotonic()
    with Pulse() as pulse, Stage(options, Random(f"stage:{options.seed}")) as stage:
        storm = Storm(stage, options)
        missing = _weather(stage, storm, options)
        _calm(stage)
        say(f"storm over after {time.monotonic() - began:.0f} s, waiting for the last jobs")
        problems = [*missing, *_settle(stage, options), *stage.stop(), *doctor(stage)]
        if storm.skipped:
            say(f"found nobody to hit: {dict(storm.skipped)}")
        append(stage.folder / "faults", storm.done)
        evidence = collect(stage, options, storm.done, problems)
        evidence.held = pulse.held()
        findings = judge(evidence)
        lost = len({each.job_id for each in findings if each.rule == "lost"})
        figures = figures_of(evidence, lost=lost, took_s=time.monotonic() - began)
        findings += judge_figures(figures, options)
        stage.keep = bool(findings)
        return Outcome(figures, findings, _report(findings, evidence), stage.folder)


def _weather(stage: Stage, storm: Storm, options: Options) -> list[str]:
    """Let faults happen and producers work, until both are through; return what did not let them."""
    began = time.monotonic()
    tally, gate = Tally(stage.ledgers, stage.witness), Gate(stage.gate, options.jobs)

    def over() -> bool:
        tally.look()
        share = min(tally.accepted / options.jobs, (time.monotonic() - began) / options.span_s)
        more = storm.step(share)
        gate.move(storm.next_share, tally, storm.due())
        return not more and all(slot.finished for slot in stage.producers)

    if stage.wait(over, options.limit_s, step_s=0.01):
        return []
    storm.abandon()
    so_far = f"{tally.accepted} of {options.jobs} jobs accepted, {tally.waiting} of them never started"
    return [f"given up after {options.limit_s:g} s: {so_far}, faults owed: {storm.owed()}"]


def _calm(stage: Stage) -> None:
    """See that nothing is left undone."""
    for proxy in stage.proxies:
        proxy.cut_replies(0)
        proxy.silence(0)
    stage.client.config_set("maxmemory", "0")
    # One that has just been started again would be ended by a stop before it listens for it.
    stage.wait(
        lambda: all(o.running and o.running.has_said(REGISTERED) for o in stage.orchestrators),
        60,
    )


def doctor(stage: Stage) -> list[str]:
    """Ask ``rrq doctor`` what it thinks of what is left (RELIABILITY.md 5, G20)."""
    command = [sys.executable, "-m", "rrq_cli", "--config", "rrq.toml", "doctor", "--json"]
    env = {key: value for key, value in os.environ.items() if not key.startswith("RRQ_")}
    done = subprocess.run(
        command, cwd=stage.folder, env=env, check=False, capture_output=True, text=True, timeout=120
    )
    told = [f"rrq doctor, exit code {done.returncode}: {done.stdout}{done.stderr}"]
    if done.returncode != 1:
        return told if done.returncode else []
    said = json.loads(done.stdout)
    doubts = [*said["findings"], *(each for each in said["server"] if each["subject"] != "version")]
    # Which server is tested is not the choice of those who are tested.
    return told if any(each["level"] in ("error", "warning") for each in doubts) else []


def _settle(stage: Stage, options: Options) -> list[str]:
    """Wait until every job has ended and only the living are listed; not for ever once nothing changes any
    more. Returns what stayed on the lists.
    """
    waiting = {
        entry.id for path in stage.ledgers for entry in read_ledger(path) if isinstance(entry, Attempted)
    }
    patience_s = 20 + 15 * options.lease_s
    changed, give_up = len(waiting), time.monotonic() + patience_s
    while waiting and time.monotonic() < give_up:
        waiting -= _ended(stage, waiting)
        if len(waiting) != changed:
            changed, give_up = len(waiting), time.monotonic() + patience_s
        stage.wait(lambda: False, _LOOK_S)
    lists = (stage.keyspace.workers, len(stage.orchestrators)), (stage.keyspace.reaping, 0)
    stage.wait(lambda: all(stage.client.zcard(key) == count for key, count in lists), patience_s, _LOOK_S)
    sizes = [(key, count, stage.client.zcard(key)) for key, count in lists]
    return [f"{key}: expected {count} orchestrators, found {n}" for key, count, n in sizes if n != count]


def _ended(stage: Stage, ids: Iterable[str]) -> set[str]:
    """Return those that will not change any more, or do not exist."""
    ordered = sorted(ids)
    found: set[str] = set()
    for first in range(0, len(ordered), 1000):
        some = ordered[first : first + 1000]
        with stage.client.pipeline(transaction=False) as pipe:
            for job_id in some:
                pipe.hget(stage.keyspace.job(job_id), "status")
            try:
                statuses = pipe.execute()
            except redis.ConnectionError:
                return found
        found |= {
            job_id
            for job_id, status in zip(some, statuses, strict=True)
            if status is None or status in _TERMINAL
        }
    return found


def _report(findings: list[Finding], evidence: Evidence) -> list[str]:
    lines: list[str] = []
    for finding in findings[:_SHOWN]:
        lines.append(f"{finding.rule}: {finding.job_id or ''} {finding.problem}")
        if finding.job_id:
            lines += [f"    {line}" for line in _story(finding.job_id, evidence)]
    if len(findings) > _SHOWN:
        lines.append(f"and {len(findings) - _SHOWN} more")
    return lines


def _story(job_id: str, evidence: Evidence) -> Iterable[str]:
    """Yield all that is known of a job: ledger, witness, record with its attempts, events."""
    yield f"ledger   {evidence.attempted.get(job_id)}"
    told = evidence.acknowledged.get(job_id)
    yield f"         acknowledged at {told}, merged {evidence.merged.get(job_id)}"
    for execution in evidence.executions.get(job_id, []):
        start, end = execution.start, execution.end
        how = f"{end.what} at {end.at:.3f}" if end else "no end"
        yield (
            f"witness  {start.request} attempt {start.attempt} at {start.at:.3f} "
            f"in {start.pid} of {start.parent}: {how}"
        )
        concerned = [f for f in evidence.faults if {start.pid, start.parent} & set(f.pids)]
        for fault in concerned:
            yield f"         fault {fault.kind} at {fault.at:.3f} until {fault.until:.3f}"
    record = evidence.records.get(job_id)
    yield f"record   {msgspec.json.encode(record).decode() if record else None}"
    yield f"events   {evidence.events.get(job_id)}"
