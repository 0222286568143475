"""Deaths and stops of processes: how long until their jobs run again."""

import json
import os
import random
import signal
import time
from datetime import datetime
from functools import partial
from pathlib import Path

from support.chaos.evidence import Execution
from support.chaos.slots import Incarnation, Slot, children
from support.goals.report import Report
from support.goals.site import Site, site

__all__ = ["crash", "runner", "stops", "supervised"]

_SUPERVISED = ("-m", "rrq_cli", "--config", "rrq.toml", "worker", "run", "--supervise")
_JOBS, _LASTS_S = 12, 4.0
_GRACE_S = 0.3
"""For running attempts, in the site's settings."""


def crash(report: Report, rng: random.Random, kills: int) -> None:
    """G5: SIGKILL to one of two orchestrators at the default lease, until its jobs start elsewhere."""
    first, each = [], []
    with site(rng) as place:
        for _ in range(kills):
            again_s = _kill(place, rng)
            first.append(min(again_s))
            each += again_s
    report.times("G5", "orchestrator killed, first of its jobs started elsewhere", first, 12.0)
    report.times("G5", "orchestrator killed, each of its jobs started elsewhere", each, 12.0)


def supervised(report: Report, rng: random.Random, kills: int) -> None:
    """G5, with ``rrq worker run --supervise``: the parent sees the death."""
    each = []
    with site(rng, runs=_SUPERVISED) as place:
        for _ in range(kills):
            each += _kill(place, rng, child=True)
    report.times("G5", "supervised orchestrator killed, each of its jobs started again", each, 2.0)


def _kill(place: Site, rng: random.Random, *, child: bool = False) -> list[float]:
    ids = place.enqueue("slow", _JOBS, seconds=_LASTS_S)
    place.wait("jobs at work", partial(_all_alive, place, ids))
    # Anywhere between two beats.
    place.stage.wait(lambda: False, rng.uniform(0.0, 2.0))
    pid, victim = _busiest(place, child=child)
    assert victim.running is not None
    at = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    if not child:
        victim.running.signals.append(signal.SIGKILL)
    hit = place.running(parent=pid)
    place.wait("its jobs to start elsewhere", partial(_all_again, place, hit))
    again_s = [each.start.at - at for each in place.next_starts(hit).values()]
    place.wait("all jobs to end", partial(place.ended, ids))
    if child:
        place.wait("its child to be replaced", partial(_has_runners, victim, pid))
    place.ready()
    return again_s


def _busiest(place: Site, *, child: bool = False) -> tuple[int, Slot]:
    """Return the orchestrator process with the most jobs in hand, and its slot."""
    alive = [
        (children(slot.running.pid)[0] if child else slot.running.pid, slot)
        for slot in place.slots
        if slot.running
    ]
    return max(alive, key=lambda each: len(place.running(parent=each[0])))


def _has_runners(slot: Slot, before: int) -> bool:
    own = children(slot.running.pid) if slot.running else []
    return bool(own) and own[0] != before and bool(children(own[0]))


def runner(report: Report, rng: random.Random, kills: int) -> None:
    """G6: SIGKILL to a runner process with jobs in hand. They run again in processes that have to be started,
    whose start is told apart.
    """
    raw, net = [], []
    with site(rng) as place:
        for _ in range(kills):
            ids = place.enqueue("slow", _JOBS, seconds=1.5)
            place.wait("jobs at work", partial(_all_alive, place, ids))
            at_work = _alive(place, ids)
            pid = rng.choice(sorted({each.start.pid for each in at_work.values()}))
            hit = {job_id: each for job_id, each in at_work.items() if each.start.pid == pid}
            at = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            place.wait("one to start again", partial(place.next_starts, hit))
            again = min(place.next_starts(hit).values(), key=lambda each: each.start.at)
            place.wait("all jobs to end", partial(place.ended, ids))
            raw.append(again.start.at - at)
            net.append(again.start.at - at - _start_s(place, again.start.pid, at))
    report.times("G6", "runner killed, first of its jobs started again", raw)
    report.times("G6", "the same without the start of the process it then ran in", net, 1.0)


def _all_alive(place: Site, ids: list[str]) -> bool:
    return len(_alive(place, ids)) == len(ids)


def _all_again(place: Site, before: dict[str, Execution]) -> bool:
    return len(place.next_starts(before)) == len(before)


def _is_over(process: Incarnation) -> bool:
    return process.code is not None


def _alive(place: Site, ids: list[str]) -> dict[str, Execution]:
    seen = place.seen()
    return {job_id: seen[job_id][-1] for job_id in ids if job_id in seen and seen[job_id][-1].end is None}


def _start_s(place: Site, pid: int, after: float) -> float:
    """Return how long a runner process took to start; 0 if it was there before."""
    offset = time.time() - time.monotonic()
    for slot in place.slots:
        for each in slot.history:
            for line in each.log.read_text().splitlines():
                if '"runner.started"' in line and (event := json.loads(line))["pid"] == pid:
                    ready = datetime.fromisoformat(event["timestamp"]).timestamp() - offset
                    return min(float(event["took_s"]), max(0.0, ready - after))
    return 0.0


def stops(report: Report, rng: random.Random, count: int) -> None:
    """G19: SIGTERM under load. The exit, what is left, and when the jobs it gave back start elsewhere."""
    exits, moved, codes, left = [], [], [], 0
    ids: list[str] = []
    with site(rng, 4) as place:
        for _ in range(count):
            some = place.enqueue("slow", _JOBS, seconds=rng.uniform(0.5, 2.0))
            ids += some
            place.wait("a job at work", partial(_alive, place, some))
            pid, victim = _busiest(place)
            process = victim.history[-1]
            below, hit = _below(pid), place.running(parent=pid)
            at = time.monotonic()
            victim.send(signal.SIGTERM)
            place.wait("its end", partial(_is_over, process), step_s=0.005)
            exits.append(process.ended - at)
            codes.append(process.code)
            left += sum(Path(f"/proc/{each}").exists() for each in below)
            given = {job_id: each for job_id, each in hit.items() if not _completed(place, job_id, each)}
            place.wait("what it gave back to start", partial(_all_again, place, given))
            moved += [max(0.0, each.start.at - process.ended) for each in place.next_starts(given).values()]
            # The jobs of one stop run into the next; two others have room for them.
            place.ready(spare=1)
        place.wait("all jobs to end", partial(place.ended, ids), step_s=0.5)
        place.ready()
        records = [place.record(job_id) for job_id in ids]
    charged = sum(record.current_retries + record.crash_count for record in records)
    unended = sum(str(record.status) != "COMPLETED" for record in records)
    report.times("G19", "SIGTERM under load, exit", exits, _GRACE_S + 1.0)
    report.times("G19", "jobs given back, start elsewhere after the exit", moved, 1.0)
    text = f"exit codes {sorted(set(codes), key=str)}, {left} processes left, {charged} charges"
    report.demand("G19", text, met=not left and not charged and set(codes) == {0})
    report.demand("G19", f"{unended} of {len(ids)} jobs not completed", met=not unended)


def _completed(place: Site, job_id: str, before: Execution) -> bool:
    now = place.seen()[job_id][before.number]
    return now.end is not None and now.end.what == "ok"


def _below(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        found += children(each)
    return found
