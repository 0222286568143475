"""What shows only over many jobs, rounds or minutes."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from functools import partial

from support.chaos.pacing import Tally
from support.goals.report import Report
from support.goals.site import site

__all__ = ["load", "poison", "quiet"]

_BATCH, _MOST_WAITING = 500, 2_000
_INNOCENTS = 200


def quiet(report: Report, rng: random.Random, jobs: int) -> None:
    """G2: without any fault each job is executed once."""
    ids: list[str] = []
    with site(rng) as place:
        tally = Tally([], place.stage.witness)
        while len(ids) < jobs:
            tally.look()
            if len(ids) - tally.started < _MOST_WAITING:
                ids += place.enqueue("quick", min(_BATCH, jobs - len(ids)))
            else:
                place.stage.wait(lambda: False, 0.05)
        for first in range(0, len(ids), 5_000):
            some = ids[first : first + 5_000]
            place.wait("all jobs to end", partial(place.ended, some))
        counts = Counter({job_id: len(each) for job_id, each in place.seen().items()})
    again, missing = sum(count > 1 for count in counts.values()), sum(counts[job_id] == 0 for job_id in ids)
    report.demand(
        "G2", f"{again} of {len(ids)} jobs executed twice, {missing} never", met=not (again or missing)
    )


def poison(report: Report, rng: random.Random, rounds: int) -> None:
    """G11: a job that kills its process each time, among 200 that harm nobody."""
    charged = unended = 0
    crashes: Counter[tuple[str, int]] = Counter()
    with site(rng) as place:
        for _ in range(rounds):
            before = rng.randrange(_INNOCENTS)
            ids = place.enqueue("slow", before, seconds=0.05) if before else []
            (bad,) = place.enqueue("poison")
            ids += place.enqueue("slow", _INNOCENTS - before, seconds=0.05)
            place.wait("all jobs to end", partial(place.ended, [*ids, bad]))
            records = [place.record(job_id) for job_id in ids]
            charged += sum(record.current_retries + record.crash_count for record in records)
            unended += sum(str(record.status) != "COMPLETED" for record in records)
            end = place.record(bad)
            crashes[str(end.status), end.crash_count] += 1
    text = f"{rounds} rounds: {unended} of {rounds * _INNOCENTS} innocents not completed, {charged} charged"
    report.demand("G11", text, met=not (charged or unended))
    report.demand("G11", f"poison ended as {dict(crashes)}", met=set(crashes) == {("FAILED", 3)})


def load(report: Report, rng: random.Random, minutes: int) -> None:
    """G12: nobody is declared dead while every core is busy with something else."""
    spin = [sys.executable, "-c", "while True: pass"]
    cores = len(os.sched_getaffinity(0))
    with site(rng) as place:
        hogs = [subprocess.Popen(spin) for _ in range(cores)]
        try:
            until, done, most = time.monotonic() + minutes * 60, 0, 0.0
            while time.monotonic() < until:
                done += len(place.enqueue("quick", 20))
                place.stage.wait(lambda: False, 1.0)
                most = max(most, os.getloadavg()[0])
        finally:
            for hog in hogs:
                hog.kill()
                hog.wait()
        fenced = place.told("orchestrator.fenced")
    around = f"{minutes} min with {cores} busy processes, {done} jobs, load up to {most:.1f}"
    report.demand("G12", f"{fenced} live orchestrators declared dead in {around}", met=not fenced)
