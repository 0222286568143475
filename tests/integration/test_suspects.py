"""Jobs that lost their process together run again, each in a process of its own (ADR 0017)."""

import os
import signal
from collections.abc import Sequence

from rrq_producer import EnqueuedJob
from rrq_protocol import Job, JobStatus
from support.road import Road, Sighting


def _held(road: Road, count: int, gate: str) -> list[EnqueuedJob]:
    """Enqueue jobs that run until the gate is opened."""
    return road.producer.enqueue_many(Job("hold", {"gate": gate}) for _ in range(count))


def _pids(seen: Sequence[Sighting]) -> set[int]:
    return {each.pid for each in seen}


def test_long_work_does_not_hold_up_suspects(road: Road) -> None:
    """While all ordinary slots are taken by jobs that do not end, every job that lost its process runs again,
    one after the other, in a process of its own; no ordinary job is taken beyond the slots (ADR 0017).
    """
    road.configure({"python": {"app": "handlers:settings", "pool_size": 1, "max_in_flight": 6}})
    with road.running() as daemon:
        suspects = _held(road, 6, "gate")
        first = road.seen(6)
        long = _held(road, 12, "later")
        os.kill(first[0].pid, signal.SIGKILL)
        daemon.wait_for("job.suspected")
        taken = road.seen(6, *(job.id for job in long))
        road.open()
        assert all(each.status is JobStatus.COMPLETED for each in road.results(suspects))
        assert {road.record(job.id).crash_count for job in suspects} == {0}
        # The process for suspects is none for others.
        again = road.sightings("start", *(job.id for job in suspects))[6:]
        assert {each.job_id for each in again} == {job.id for job in suspects}
        assert not _pids(again) & _pids([*first, *taken])
        assert len(road.sightings("start", *(job.id for job in long))) == 6
        road.open("later")
        assert all(each.status is JobStatus.COMPLETED for each in road.results(long))
