"""A Redis that comes back with less than it acknowledged, and producers that are killed while they write
(RELIABILITY.md 3.2, 3.3, F1, F28, F29).
"""

import random
import shutil
import signal
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis

from rrq_producer import Producer
from rrq_protocol import Job, JobStatus, Keyspace
from support.processes import Command
from support.proxy import Proxy
from support.redis_choice import for_most, serving
from support.redis_servers import ProcessServer
from support.road import Road
from support.waiting import eventually

WRITER = """
import sys
from rrq_producer import Producer
from rrq_protocol import Job

url, prefix, name = sys.argv[1:]
with Producer(url, key_prefix=prefix) as producer:
    number = 0
    while True:
        ids = [f"{name}-{number}-{n}" for n in range(3)]
        print("asked", *ids, flush=True)
        producer.enqueue("work", job_id=ids[0])
        producer.enqueue_many([Job("work", job_id=each) for each in ids[1:]])
        print("done", *ids, flush=True)
        number += 1
"""


@pytest.fixture
def servers() -> Iterator[list[ProcessServer]]:
    """Serve two server processes of the test's own."""
    first, second = for_most().own(), for_most().own(append_only=False)
    assert isinstance(first, ProcessServer)
    assert isinstance(second, ProcessServer)
    for _ in serving(first):
        for _ in serving(second):
            yield [first, second]


def test_a_producer_killed_at_any_moment_leaves_whole_jobs(road: Road, rng: random.Random) -> None:
    """Each job it was writing is there, whole and in its queue, or not at all; what was acknowledged to it is
    there. All of them run (F1).
    """
    acknowledged: set[str] = set()
    for number in range(12):
        with Command("-c", WRITER, road.url, road.keyspace.prefix, f"w{number}", cwd=road.folder) as writer:
            assert writer.process.stdout is not None
            for _ in range(rng.randrange(1, 40)):
                what, *ids = writer.process.stdout.readline().split()
                acknowledged |= set(ids) if what == "done" else set()
            writer.kill(signal.SIGKILL)
            writer.code()
            for line in writer.process.stdout.read().splitlines():
                if line.startswith("done "):
                    acknowledged |= set(line.split()[1:])
        assert road.findings() == ()
    stored = {
        key.decode().rpartition(":")[2] for key in road.client.scan_iter(f"{road.keyspace.prefix}:job:*")
    }
    assert acknowledged <= stored
    with road.running():
        assert {road.result(each).status for each in stored} == {JobStatus.COMPLETED}
    assert len(road.sightings()) == len(stored)


def test_an_older_state_of_redis_takes_no_end_of_a_claim_it_does_not_know(
    servers: list[ProcessServer],
) -> None:
    """A backup from before the claim is put back: the attempt that runs is given up, the job runs once more,
    and its end is that of the claim the backup knows (F28).
    """
    server, _ = servers
    with Road(server.url, Keyspace("rrq")) as road:
        jobs = road.producer.enqueue_many(Job("hold", {"gate": "gate"}) for _ in range(3))
        shutil.copytree(server.folder / "appendonlydir", server.folder / "backup")
        with road.running() as daemon:
            road.seen(3)
            server.kill()
            shutil.rmtree(server.folder / "appendonlydir")
            (server.folder / "backup").rename(server.folder / "appendonlydir")
            server.start()
            daemon.wait_for("redis.state_lost")
            again = road.seen(6)[3:]
            road.open()
            assert {each.status for each in road.results(jobs)} == {JobStatus.COMPLETED}
            assert {each.job_id for each in again} == {job.id for job in jobs}
            assert {road.record(job.id).crash_count for job in jobs} == {0}
        road.assert_nothing_left()


def test_a_failover_loses_only_what_had_not_been_copied(servers: list[ProcessServer]) -> None:
    """A replica that lags takes over: what it had completes; what only the dead primary knew is unknown, and
    is not half there. Orchestrator and producer go on by themselves (F29).
    """
    primary, replica = servers
    port = primary.url.rpartition(":")[2].removesuffix("/0")
    with Proxy(primary.url) as proxy, Road(proxy.url, Keyspace("rrq")) as road:
        with road.running() as daemon:
            road.client.get("anything")
            direct: Any = redis.Redis.from_url(replica.url)
            direct.execute_command("REPLICAOF", "127.0.0.1", port)
            copied = road.producer.enqueue_many(Job("hold", {"gate": "gate"}) for _ in range(4))
            road.seen(4)
            eventually(lambda: _copied(direct, road, [job.id for job in copied]), "the jobs on the replica")
            direct.execute_command("REPLICAOF", "NO", "ONE")
            with closing(Producer(primary.url, key_prefix="rrq")) as producer:
                lost = producer.enqueue_many(Job("work", defer_by=3600) for _ in range(5))
            primary.kill()
            proxy.lead_to(replica.url)
            road.open()
            assert {each.status for each in road.results(copied)} == {JobStatus.COMPLETED}
            assert [road.producer.get_job_status(job.id) for job in lost] == [None] * 5
            after = road.producer.enqueue_many(Job("work") for _ in range(20))
            assert {each.status for each in road.results(after)} == {JobStatus.COMPLETED}
            assert daemon.told("redis.back")
        road.assert_nothing_left()


def _copied(client: Any, road: Road, ids: list[str]) -> bool:
    return all(client.hget(road.keyspace.job(each), "status") == b"ACTIVE" for each in ids)
