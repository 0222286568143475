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
    """The next orchestrator finishes what the dead one left behind."""
    road.configure(RUNNER, **LEASE)
    jobs = road.producer.enqueue_many(Job("work", {"number": number}) for number in range(12))
    with _ill_fated(road, "RRQ_CRASH_AT", label) as dead:
        assert dead.code() == -signal.SIGKILL
    with road.running():
        results = road.results(jobs)
        assert [each.result for each in results] == [2 * number for number in range(12)]
        assert {road.record(job.id).current_retries for job in jobs} == {0}


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


def test_a_janitor_that_dies_at_its_work_is_followed_by_another(road: Road) -> None:
    """Half of the dead one's jobs are back when the janitor dies too; the next one does the rest (F9)."""
    road.configure(RUNNER, **LEASE)
    jobs = road.producer.enqueue_many(Job("work", {"number": number}) for number in range(4))
    for variable, label in (("RRQ_CRASH_AT", "frames.after"), ("RRQ_CRASH_AT", "recover.after")):
        with _ill_fated(road, variable, label) as dead:
            assert dead.code() == -signal.SIGKILL
    with road.running():
        assert {each.status for each in road.results(jobs)} == {JobStatus.COMPLETED}
    assert road.client.exists(road.keyspace.reaping) == 0
