"""An orchestrator that dies, or freezes beyond its lease, at every place where it talks to Redis or to a
runner (RELIABILITY.md 3.1 *Crash points*, F3 to F5, F9).

Another one takes over. Whatever the place: every job completes, none is charged a retry, and the key space
fits together, which the fixture looks at.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rrq_protocol import Job, JobStatus
from support.processes import Command
from support.road import Road
from support.waiting import eventually

LEASE: dict[str, Any] = {"lease_seconds": 1.5, "lease_beat_seconds": 0.3}
RUNNER = {"python": {"app": "handlers:settings", "pool_size": 1, "max_in_flight": 4}}
# Each is reached while the first orchestrator works through a few jobs; the first response is a hello.
LABELS = (
    "register.after",
    "heartbeat.before:2",
    "claim.before",
    "claim.after",
    "claim.after:3",
    "frames.before",
    "frames.after",
    "response.before:2",
    "response.after:2",
    "settle.before",
    "settle.after",
    "settle.after:2",
    "blpop.after",
)
# At these it has jobs in hand for certain.
HOLDING = {
    *("claim.after", "claim.after:3", "frames.before", "frames.after"),
    *("response.before:2", "response.after:2", "settle.before"),
}
IMPATIENT: dict[str, Any] = {"worker_shutdown_grace_period_seconds": 0.5, "base_retry_delay_seconds": 0.1}
RUNNER_LABELS = ("request.after", "answers.after")


@contextlib.contextmanager
def _ill_fated(road: Road, variable: str, label: str) -> Iterator[Command]:
    """Serve an orchestrator that will not get past a label; it is killed at the end if it still lives."""
    with Command(
        "rrq_orchestrator",
        *("--config", "rrq.toml"),
        cwd=road.folder,
        env={**road.environment(), variable: label},
    ) as command:
        yield command


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("label", LABELS)
def test_a_death_anywhere_loses_nothing(road: Road, label: str) -> None:
    """The next orchestrator finishes what the dead one left behind: what it held is charged one crash, and
    nothing is charged a retry; what it did not hold ran once (F3, F4).
    """
    road.configure(RUNNER, **LEASE)
    jobs = road.producer.enqueue_many(Job("work", {"number": number}) for number in range(12))
    with _ill_fated(road, "RRQ_CRASH_AT", label) as dead:
        assert dead.code() == -signal.SIGKILL
    held = {job.id for job in jobs if road.record(job.id).status is JobStatus.ACTIVE}
    assert held or label not in HOLDING
    with road.running() as successor:
        results = road.results(jobs)
        assert [each.result for each in results] == [2 * number for number in range(12)]
        told = successor.told("jobs.recovered") if held else []
    assert sum(each["recovered"] for each in told) == len(held)
    for job in jobs:
        record = road.record(job.id)
        assert (record.crash_count, record.current_retries) == (int(job.id in held), 0)
        assert 1 <= len(road.sightings("start", job.id)) <= 1 + record.crash_count


@pytest.mark.parametrize("label", RUNNER_LABELS)
def test_a_runner_that_dies_anywhere_loses_nothing(road: Road, label: str) -> None:
    """Each of its processes dies there with its first request; what they held is done by healthy ones."""
    road.configure({"python": {**RUNNER["python"], "env": {"RRQ_CRASH_AT": label}}}, **LEASE, **IMPATIENT)
    jobs = road.producer.enqueue_many(Job("work", {"number": number}) for number in range(4))
    with road.running() as orchestrator:
        orchestrator.wait_for("runner.ended")
    road.configure(RUNNER, **LEASE, **IMPATIENT)
    with road.running():
        assert {each.status for each in road.results(jobs)} == {JobStatus.COMPLETED}
    assert {road.record(job.id).current_retries for job in jobs} == {0}


@pytest.mark.parametrize("label", ["claim.after", "frames.after", "response.before:2", "settle.before"])
def test_an_orchestrator_that_comes_back_changes_nothing(road: Road, label: str) -> None:
    """Frozen until its jobs ran elsewhere, it finds itself fenced: what it settles then is stale, and it
    goes on under a new id (F5)."""
    road.configure(RUNNER, **LEASE)
    jobs = road.producer.enqueue_many(Job("work", {"number": number}) for number in range(4))
    with _ill_fated(road, "RRQ_PAUSE_AT", label) as frozen:
        eventually(lambda: _state(frozen.process.pid) == "T", "the orchestrator to freeze")
        with road.running() as other:
            assert {each.status for each in road.results(jobs)} == {JobStatus.COMPLETED}
            before = [road.record(job.id) for job in jobs]
            os.kill(frozen.process.pid, signal.SIGCONT)
            frozen.wait_for("orchestrator.was_fenced")
            eventually(
                lambda: len(frozen.named("orchestrator.registered")) == 2, "it to register under a new id"
            )
            more = road.producer.enqueue_many(Job("work", {"number": number}) for number in range(20))
            assert {each.status for each in road.results(more)} == {JobStatus.COMPLETED}
            assert [road.record(job.id) for job in jobs] == before
            road.stop(frozen)
            assert not other.named("settle.stale")


@pytest.mark.parametrize(("label", "given_back"), [("fence.after", 0), ("recover.after:2", 200)])
def test_a_janitor_that_dies_at_its_work_is_followed_by_another(
    road: Road, label: str, given_back: int
) -> None:
    """None of the dead one's 250 jobs are back, or 200 of them, when the janitor dies too. The next one gives
    back exactly what is left; every job is in one place all the time, and completes (F9).
    """
    road.configure({"python": {"app": "handlers:settings", "pool_size": 1, "max_in_flight": 250}}, **LEASE)
    with road.running_until_killed() as dead:
        jobs = road.producer.enqueue_many(Job("hold", {"gate": "gate"}) for _ in range(250))
        road.seen(250)
        (registered,) = dead.named("orchestrator.registered")
    first = registered["orchestrator"]
    with _ill_fated(road, "RRQ_CRASH_AT", label) as janitor:
        assert janitor.code() == -signal.SIGKILL
    assert road.client.zrange(road.keyspace.reaping, 0, -1) == [first.encode()]
    assert road.client.zcard(road.keyspace.active(first)) == 250 - given_back
    assert road.findings() == ()
    road.open()
    with road.running() as successor:
        assert {each.status for each in road.results(jobs)} == {JobStatus.COMPLETED}
        told = [each for each in successor.named("jobs.recovered") if each["orchestrator"] == first]
    assert sum(each["recovered"] for each in told) == 250 - given_back
    assert road.client.exists(road.keyspace.reaping, road.keyspace.active(first)) == 0
    assert {road.record(job.id).current_retries for job in jobs} == {0}
