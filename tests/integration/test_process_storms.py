"""Orchestrators that die, stop and come back by the dozen (RELIABILITY.md 3.2, F7, F8, F10, F15, F24)."""

import os
import random
import signal
import time
from contextlib import ExitStack
from typing import Any

from rrq_protocol import Job, JobStatus
from support.processes import Command, wait_until_gone
from support.road import Road
from support.waiting import eventually

LEASE: dict[str, Any] = {"lease_seconds": 1.5, "lease_beat_seconds": 0.3}
RUNNER = {"python": {"app": "handlers:settings", "pool_size": 1, "max_in_flight": 4}}


def test_pauses_at_the_edge_of_the_lease_repeat_no_more_than_was_taken_over(
    road: Road, rng: random.Random
) -> None:
    """Stopped and continued over and over, for about a lease each time: every job completes; what ran more
    than once was taken over before, and was charged for it (F7).
    """
    road.configure(RUNNER, **LEASE)
    with road.running() as flapping, road.running():
        jobs = road.producer.enqueue_many(Job("nap", {"seconds": 0.05}) for _ in range(300))
        for _ in range(4):
            flapping.kill(signal.SIGSTOP)
            time.sleep(LEASE["lease_seconds"] * rng.uniform(0.6, 1.6))
            flapping.kill(signal.SIGCONT)
            time.sleep(0.3)
        assert {each.status for each in road.results(jobs)} == {JobStatus.COMPLETED}
        charged = sum(road.record(job.id).crash_count for job in jobs)
        retried = {road.record(job.id).current_retries for job in jobs}
    assert len(road.sightings()) <= len(jobs) + charged
    assert retried == {0}


def test_five_janitors_take_back_each_job_once(road: Road) -> None:
    """One of five dies with jobs in hand, and the four others see it in the same second: each job is given
    back once, by whomever (F10).
    """
    road.configure(RUNNER, **LEASE)
    with ExitStack() as stack:
        victim = stack.enter_context(road.start())
        road.ready(victim)
        jobs = road.producer.enqueue_many(Job("hold", {"gate": "gate"}) for _ in range(4))
        road.seen(4)
        others = [stack.enter_context(road.start()) for _ in range(4)]
        for each in others:
            road.ready(each)
        victim.kill(signal.SIGKILL)
        road.seen(8)
        road.open()
        assert {each.status for each in road.results(jobs)} == {JobStatus.COMPLETED}
        assert {road.record(job.id).crash_count for job in jobs} == {1}
        for each in others:
            road.stop(each)
        told = [event for each in others for event in each.named("jobs.recovered")]
        assert sum(event["recovered"] for event in told) == 4
        assert sum(len(each.named("orchestrator.fenced")) for each in others) == 1
    assert len(road.sightings()) == 8
    with road.running():  # sweeps away what the killed one left in the file system
        pass


def test_a_job_that_kills_its_orchestrator_is_stopped_after_three(road: Road) -> None:
    """Its deaths are counted by whoever takes it back, so no restart makes it forget: it is dead-lettered,
    and what waits behind it completes (F15).
    """
    road.configure(RUNNER, **LEASE)
    poison = road.producer.enqueue("matricide")
    with ExitStack() as stack:
        for number in range(1, 4):
            dying = stack.enter_context(road.start())
            assert dying.code() == -signal.SIGKILL, number
        with road.running():
            assert road.result(poison.id).status is JobStatus.FAILED
            after = road.producer.enqueue_many(Job("work") for _ in range(20))
            assert {each.status for each in road.results(after)} == {JobStatus.COMPLETED}
    assert road.dead() == [poison.id]
    assert road.record(poison.id).crash_count == 3
    assert len(road.sightings("start", poison.id)) == 3


def test_all_die_at_once_and_all_goes_on_when_one_is_back(road: Road) -> None:
    """Whoever is back sees each of the dead through a lease, and then their jobs run again, charged one crash
    and no retry (F8).
    """
    road.configure(RUNNER, **LEASE)
    with ExitStack() as stack:
        fleet = [stack.enter_context(road.start()) for _ in range(3)]
        for each in fleet:
            road.ready(each)
        jobs = road.producer.enqueue_many(Job("hold", {"gate": "gate"}) for _ in range(9))
        runners = {each.pid for each in road.seen(9)}
        for each in fleet:
            each.kill(signal.SIGKILL)
        wait_until_gone(sorted(runners))
    road.open()
    with road.running() as back:
        assert {each.status for each in road.results(jobs)} == {JobStatus.COMPLETED}
        assert len(back.told("orchestrator.fenced", 3)) == 3
    assert len(road.sightings()) == 18
    assert {(road.record(job.id).crash_count, road.record(job.id).current_retries) for job in jobs} == {
        (1, 0)
    }


def test_a_tight_loop_of_restarts_leaves_no_traces(road: Road) -> None:
    """Killed as soon as it is registered, ten times: no id comes twice, and once one stays, the list of the
    living holds it alone (F24).
    """
    road.configure(RUNNER, **LEASE)
    names = []
    for _ in range(10):
        with road.start() as short_lived:
            short_lived.wait_for("orchestrator.registered")
            names.append(short_lived.named("orchestrator.registered")[0]["orchestrator"])
            os.kill(short_lived.process.pid, signal.SIGKILL)
    assert len(set(names)) == 10
    with road.running() as staying:
        eventually(lambda: _living(road) == _names(staying), "one living orchestrator")
        eventually(lambda: not road.client.exists(road.keyspace.reaping), "nobody to be taken from")
        job = road.producer.enqueue("work")
        assert road.result(job.id).status is JobStatus.COMPLETED
    with road.running():  # sweeps away what the killed ones left in the file system
        pass


def _living(road: Road) -> list[str]:
    rows: Any = road.client.zrange(road.keyspace.workers, 0, -1)
    return [row.decode() for row in rows]


def _names(daemon: Command) -> list[str]:
    return [event["orchestrator"] for event in daemon.named("orchestrator.registered")]
