"""A machine that is short of something, or stood still as a whole (RELIABILITY.md F50, F91)."""

import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from rrq_protocol import Job, JobStatus, Keyspace
from support.processes import Command
from support.redis_choice import for_most, serving
from support.redis_servers import ProcessServer
from support.road import Road
from support.waiting import eventually

LEASE: dict[str, Any] = {"lease_seconds": 3, "lease_beat_seconds": 0.5}
RUNNER: dict[str, Any] = {"python": {"app": "handlers:settings", "pool_size": 1, "max_in_flight": 4}}


@pytest.fixture
def machine() -> Iterator[tuple[ProcessServer, Road]]:
    """Serve a server process of the test's own and a folder to run everything in on it."""
    server = for_most().own()
    assert isinstance(server, ProcessServer)
    for _ in serving(server):
        with Road(server.url, Keyspace("rrq")) as road:
            yield server, road
            road.assert_nothing_left()


def test_a_machine_that_stood_still_as_a_whole_goes_on(machine: tuple[ProcessServer, Road]) -> None:
    """Redis, orchestrators and runners are stopped together for longer than a lease, as a suspended machine
    is, and continue together: nobody is called dead, and each job ran once (F50).
    """
    server, road = machine
    road.configure(RUNNER, **LEASE)
    with road.running() as first, road.running() as second:
        jobs = road.producer.enqueue_many(Job("hold", {"gate": "gate"}) for _ in range(6))
        road.seen(6)
        everybody = [first.process.pid, second.process.pid, *road.processes(), server.pid]
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(LEASE["lease_seconds"] * 1.5)  # the time itself is the fault
        for pid in reversed(everybody):
            os.kill(pid, signal.SIGCONT)
        _beat(road)
        road.open()
        assert {each.status for each in road.results(jobs)} == {JobStatus.COMPLETED}
        assert not first.named("orchestrator.fenced")
        assert not second.named("orchestrator.fenced")
    assert len(road.sightings()) == 6


def _beat(road: Road) -> None:
    """Wait until both orchestrators have renewed their leases some times."""
    before = _leases(road)
    for _ in range(4):
        eventually(partial(_renewed, road, before), "the leases to be renewed")
        before = _leases(road)


def _leases(road: Road) -> dict[bytes, float]:
    rows: Any = road.client.zrange(road.keyspace.workers, 0, -1, withscores=True)
    return dict(rows)


def _renewed(road: Road, before: dict[bytes, float]) -> bool:
    now = _leases(road)
    return all(now.get(name, value) != value for name, value in before.items())


def test_an_orchestrator_without_descriptors_recovers(road: Road) -> None:
    """Its runner dies while it can open no file: it stays, keeps its lease, tries again with growing pauses,
    and goes on when there are descriptors (F91).
    """
    road.configure(RUNNER, **LEASE)
    with road.running() as daemon:
        first = road.producer.enqueue("hold", {"gate": "gate"})
        (seen,) = road.seen(1)
        with _no_new_descriptors(daemon):
            os.kill(seen.pid, signal.SIGKILL)
            daemon.wait_for("runner.start_failed")
        road.open()
        jobs = road.producer.enqueue_many(Job("work") for _ in range(10))
        assert {each.status for each in road.results([first, *jobs])} == {JobStatus.COMPLETED}
        assert not daemon.named("orchestrator.was_fenced")
        assert {road.record(job.id).current_retries for job in [first, *jobs]} == {0}


@contextmanager
def _no_new_descriptors(daemon: Command) -> Iterator[None]:
    """Let a process open nothing more; what is open stays."""
    pid = daemon.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
