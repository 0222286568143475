"""An orchestrator that dies, or freezes beyond its lease, at every place where it talks to Redis or to a
runner; producers and commands that die where they talk to Redis (RELIABILITY.md 3.1 *Crash points*, F1, F3 to
F5, F9).

Another one takes over. Whatever the place: every job completes, none is charged a retry, and the key space
fits together, which the fixture looks at.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from rrq_protocol import Job, JobStatus
from rrq_protocol.transitions import SettleKind, Settlement, deregister, settle
from support.processes import Command
from support.road import Road
from support.transitions import Transitions
from support.tried import Tried
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
# In the order in which a producer reaches them that enqueues a job, waits for a replica, then for the end.
PRODUCER_LABELS = ("client.before", "enqueue.after", "wait.before", "subscribe.after", "hmget.before")
PRODUCERS = {
    "blocking": """
import sys
from rrq_producer import Producer
dsn, prefix, job_id, durability = sys.argv[1:]
with Producer(dsn, key_prefix=prefix) as producer:
    producer.enqueue("work", {"number": 21}, job_id=job_id, durability=durability)
    producer.wait(job_id, 30)
""",
    "async": """
import asyncio, sys
from rrq_producer import AsyncProducer
dsn, prefix, job_id, durability = sys.argv[1:]
async def main():
    async with AsyncProducer(dsn, key_prefix=prefix) as producer:
        await producer.enqueue("work", {"number": 21}, job_id=job_id, durability=durability)
        await producer.wait(job_id, 30)
asyncio.run(main())
""",
}


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
def test_a_death_anywhere_loses_nothing(road: Road, label: str, tried: Tried) -> None:
    """The next orchestrator finishes what the dead one left behind: what it held is charged one crash, and
    nothing is charged a retry; what it did not hold ran once (F3, F4).
    """
    road.configure(RUNNER, **LEASE)
    jobs = road.producer.enqueue_many(Job("work", {"number": number}) for number in range(12))
    with _ill_fated(road, "RRQ_CRASH_AT", label) as dead:
        assert dead.code() == -signal.SIGKILL
        tried.count("crash points: orchestrators killed at one")
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
def test_a_runner_that_dies_anywhere_loses_nothing(road: Road, label: str, tried: Tried) -> None:
    """Each of its processes dies there with its first request; what they held is done by healthy ones."""
    road.configure({"python": {**RUNNER["python"], "env": {"RRQ_CRASH_AT": label}}}, **LEASE, **IMPATIENT)
    jobs = road.producer.enqueue_many(Job("work", {"number": number}) for number in range(4))
    with road.running() as orchestrator:
        orchestrator.wait_for("runner.ended")
        tried.count("crash points: runners killed at one")
    road.configure(RUNNER, **LEASE, **IMPATIENT)
    with road.running():
        assert {each.status for each in road.results(jobs)} == {JobStatus.COMPLETED}
    assert {road.record(job.id).current_retries for job in jobs} == {0}


@pytest.mark.parametrize("label", ["claim.after", "frames.after", "response.before:2", "settle.before"])
def test_an_orchestrator_that_comes_back_changes_nothing(road: Road, label: str, tried: Tried) -> None:
    """Frozen until its jobs ran elsewhere, it finds itself fenced: what it settles then is stale, and it
    goes on under a new id (F5)."""
    road.configure(RUNNER, **LEASE)
    jobs = road.producer.enqueue_many(Job("work", {"number": number}) for number in range(4))
    with _ill_fated(road, "RRQ_PAUSE_AT", label) as frozen:
        eventually(lambda: _state(frozen.process.pid) == "T", "the orchestrator to freeze")
        tried.count("crash points: orchestrators frozen at one beyond their lease")
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
    road: Road, label: str, given_back: int, tried: Tried
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
        tried.count("crash points: orchestrators killed at one")
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


def test_a_producer_that_dies_anywhere_leaves_a_whole_job_or_none(road: Road, tried: Tried) -> None:
    """Whoever enqueues again after its death, under the same id, has one job, which runs once (F1). Blocking
    and async producers reach the same places.
    """
    road.configure(RUNNER, **LEASE)
    url, prefix, ids = road.url.partition("?")[0], road.keyspace.prefix, list[str]()
    for (kind, program), label in product(PRODUCERS.items(), PRODUCER_LABELS):
        ids.append(f"{kind}-{label.replace('.', '-')}")
        durability = "replicas:1" if label == "wait.before" else "memory"
        environment = {**road.environment(), "RRQ_CRASH_AT": label}
        with Command(
            "-c", program, url, prefix, ids[-1], durability, cwd=road.folder, env=environment
        ) as dead:
            assert dead.code() == -signal.SIGKILL, (label, dead.lines)
        assert road.client.exists(road.keyspace.job(ids[-1])) == (label != "client.before"), label
        tried.count("crash points: producers killed at one")
    jobs = [road.producer.enqueue("work", {"number": 21}, job_id=job_id) for job_id in ids]
    with road.running():
        assert [each.result for each in road.results(jobs)] == [42] * len(ids)
    assert sorted(each.job_id for each in road.sightings()) == sorted(ids)


def test_a_command_that_dies_anywhere_has_done_it_or_not(road: Road, tried: Tried) -> None:
    """A requeue killed before its call has changed nothing, afterwards everything."""
    t = Transitions(road.client, road.keyspace)
    t.now_ms = int(time.time() * 1000)
    t.register("a")
    t.add("dead")
    t.claim("a")
    end = Settlement("dead", 1, SettleKind.FAIL, "default", "null", ttl_seconds=3600)
    t.run(settle(t.keyspace, "a", [end], now_ms=t.now_ms))
    t.run(deregister(t.keyspace, "a", now_ms=t.now_ms))
    for label in ("zrange.after:2", "lrange.after", "requeue.before", "requeue.after"):
        assert road.dead() == ["dead"]
        environment = {**road.environment(), "RRQ_CRASH_AT": label}
        with Command("rrq_cli", "dlq", "requeue", "--all", cwd=road.folder, env=environment) as dead:
            assert dead.code() == -signal.SIGKILL, (label, dead.lines)
        tried.count("crash points: commands killed at one")
    assert road.dead() == []
    assert road.record("dead").status is JobStatus.PENDING
