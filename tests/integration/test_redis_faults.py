"""Redis that goes away, forgets scripts, or drops connections, under load: nothing acknowledged is lost
(RELIABILITY.md 3.3).
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis

from rrq_producer import EnqueuedJob
from rrq_protocol import Job, JobStatus
from support.redis_servers import RedisServer
from support.road import Road


class Load:
    """A thread that enqueues jobs, ten per call, until told to stop. ``accepted`` holds what was
    acknowledged.
    """

    def __init__(self, road: Road) -> None:
        self.accepted: list[EnqueuedJob] = []
        self._road = road
        self._stop = threading.Event()
        self._grown = threading.Condition()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def grow(self, count: int) -> None:
        """Wait until so many more jobs have been accepted."""
        with self._grown:
            target = len(self.accepted) + count
            assert self._grown.wait_for(lambda: len(self.accepted) >= target, 30), "no job was accepted"

    def _run(self) -> None:
        while not self._stop.is_set():
            done = self._road.producer.enqueue_many(Job("work") for _ in range(10))
            with self._grown:
                self.accepted += done
                self._grown.notify_all()
            # Not as fast as possible: the point is what happens in between.
            self._stop.wait(0.005)


@contextmanager
def _repeatedly(act: Callable[[], object]) -> Iterator[None]:
    """Do something every few milliseconds while the block runs."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.02):
            act()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("how", ["killed", "restarted"])
def test_a_redis_that_goes_and_comes_back_loses_nothing(
    own_redis: RedisServer, own_road: Road, how: str
) -> None:
    """Twice, with jobs being enqueued and executed: every acknowledged job completes, both orchestrators stay
    the same processes, neither calls the other dead, and they say that Redis was lost and came back (F25).
    """
    with own_road.running() as daemon, own_road.running() as other:
        with Load(own_road) as load:
            for outages in (1, 2):
                load.grow(100)
                if how == "killed":
                    own_redis.kill()
                    own_redis.start()
                else:
                    own_redis.restart()
                load.grow(100)
                # Who noticed one as late as the next one begins would tell of a single one, rightly.
                daemon.told("redis.back", outages)
        assert {each.status for each in own_road.results(load.accepted)} == {JobStatus.COMPLETED}
        for each in (daemon, other):
            names = [event["event"] for event in each.events()]
            told = [name for name in names if name in ("redis.lost", "redis.back")]
            assert told == ["redis.lost", "redis.back"] * 2
            assert not {"orchestrator.fenced", "orchestrator.was_fenced"} & set(names)
    ran = {each.job_id for each in own_road.sightings()}
    assert {job.id for job in load.accepted} <= ran


@pytest.mark.slow
def test_a_stop_while_redis_is_away_says_that_work_was_abandoned(
    own_redis: RedisServer, own_road: Road
) -> None:
    """An attempt has ended and Redis cannot be told, ten seconds long: exit code 3, one event that says so.
    The job is recovered by the next orchestrator, and completes.
    """
    own_road.configure(lease_seconds=1.5, lease_beat_seconds=0.3)
    with own_road.start() as daemon:
        own_road.ready(daemon)
        job = own_road.producer.enqueue("hold", {"gate": "gate"})
        own_road.seen(1)
        own_redis.kill()
        own_road.open()
        own_road.seen(1, what="end")
        daemon.kill(signal.SIGTERM)
        assert daemon.code() == 3
        assert len(daemon.named("orchestrator.abandoned")) == 1
        assert not any("Traceback" in line for line in daemon.lines)
    own_redis.start()
    with own_road.running():
        assert own_road.result(job.id).status is JobStatus.COMPLETED
    assert own_road.record(job.id).crash_count == 1


def test_forgotten_scripts_are_brought_again(road: Road) -> None:
    """SCRIPT FLUSH over and over: nobody notices; each job is executed once and completes (F34)."""
    with road.running() as daemon:
        with _repeatedly(road.client.script_flush), Load(road) as load:
            load.grow(500)
        assert {each.status for each in road.results(load.accepted)} == {JobStatus.COMPLETED}
        assert not any(event["level"] in ("warning", "error", "critical") for event in daemon.events())
    assert sorted(each.job_id for each in road.sightings()) == sorted(job.id for job in load.accepted)


def test_dropped_connections_are_made_anew(road: Road) -> None:
    """CLIENT KILL of every connection, over and over: each job completes, and is executed once: a claim whose
    reply was lost is given back, an end whose reply was lost is not written twice (F46).
    """
    with road.running() as daemon:
        with redis.Redis.from_url(road.url) as admin, Load(road) as load:

            def drop() -> None:
                admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

            with _repeatedly(drop):
                load.grow(400)
        assert {each.status for each in road.results(load.accepted)} == {JobStatus.COMPLETED}
        assert "orchestrator.was_fenced" not in [event["event"] for event in daemon.events()]
    assert sorted(each.job_id for each in road.sightings()) == sorted(job.id for job in load.accepted)
