"""States a Redis gets into in production, made on real servers: it loads, it is busy, it cannot save, it
is slow, it is full of clients, it forgot everything (RELIABILITY.md 3.3).

Each time: the process stays, says what is the matter, and goes on by itself; nothing acknowledged is lost.
"""

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from rrq_producer import Producer, RedisUnavailable
from rrq_protocol import Job, JobStatus, Keyspace
from support.processes import Command
from support.proxy import Proxy
from support.redis_choice import for_most, serving
from support.redis_servers import ProcessServer, RedisServer
from support.road import Road
from support.waiting import eventually

LEASE: dict[str, Any] = {"lease_seconds": 1.5, "lease_beat_seconds": 0.3}
WORK = 30


@pytest.fixture
def local_redis() -> Iterator[ProcessServer]:
    """Serve a server process of the test's own: what is done to it here needs its folder or its options."""
    server = for_most().own()
    assert isinstance(server, ProcessServer)
    yield from (each for each in serving(server) if isinstance(each, ProcessServer))


@pytest.fixture
def local_road(local_redis: ProcessServer) -> Iterator[Road]:
    """Serve a folder to run everything in, on that server."""
    with Road(local_redis.url, Keyspace("rrq")) as road:
        yield road
        road.assert_nothing_left()


def _works(road: Road, producer: Producer | None = None) -> None:
    """See new jobs through."""
    jobs = (producer or road.producer).enqueue_many(Job("work") for _ in range(WORK))
    assert {each.status for each in road.results(jobs)} == {JobStatus.COMPLETED}


def _workers(road: Road) -> set[str | None]:
    """See new jobs through; return who ran them."""
    jobs = road.producer.enqueue_many(Job("nap", {"seconds": 1.0}) for _ in range(WORK))
    assert {each.status for each in road.results(jobs)} == {JobStatus.COMPLETED}
    return {road.record(job.id).worker_id for job in jobs}


def _behind(road: Road, proxy: Proxy) -> Command:
    """Start an orchestrator that reaches Redis through a proxy."""
    environment = {**road.environment(), "RRQ_REDIS_DSN": proxy.url}
    return Command("rrq_orchestrator", "--config", "rrq.toml", cwd=road.folder, env=environment)


def test_an_outage_longer_than_the_lease_repeats_nothing(own_redis: RedisServer, own_road: Road) -> None:
    """What runs goes on, ends while Redis is away, and its end is written when it is back: each job ran once,
    and no orchestrator was declared dead for it (F26).
    """
    own_road.configure(**LEASE)
    with own_road.running() as daemon, own_road.running() as other:
        jobs = own_road.producer.enqueue_many(Job("hold", {"gate": "gate"}) for _ in range(6))
        own_road.seen(6)
        own_redis.kill()
        daemon.wait_for("redis.lost")
        own_road.open()
        own_road.seen(6, what="end")
        assert not threading.Event().wait(2 * LEASE["lease_seconds"])  # nothing else lets a lease pass
        own_redis.start()
        assert {each.status for each in own_road.results(jobs)} == {JobStatus.COMPLETED}
        _works(own_road)
        assert not any(each.named("orchestrator.was_fenced") for each in (daemon, other))
    assert len(own_road.sightings("start", *(job.id for job in jobs))) == 6


@pytest.mark.parametrize("how", ["flushed", "started anew with an empty folder"])
def test_a_redis_that_forgot_everything_is_told_and_served(
    local_redis: ProcessServer, local_road: Road, how: str
) -> None:
    """An orchestrator finds itself unknown, says what happened and registers anew. The jobs are gone; what
    it has to tell of them brings no piece of one back (F27, F39).
    """
    local_road.configure(**LEASE)
    local_road.conserved = False
    with local_road.running() as daemon:
        jobs = local_road.producer.enqueue_many(Job("hold", {"gate": "gate"}) for _ in range(3))
        local_road.seen(3)
        if how == "flushed":
            local_road.client.flushall()
        else:
            local_redis.kill()
            shutil.rmtree(local_redis.folder / "appendonlydir")
            local_redis.start()
        assert not local_road.client.exists(*(local_road.keyspace.job(job.id) for job in jobs))
        daemon.wait_for("redis.state_lost")
        assert "came back empty" in daemon.named("redis.state_lost")[0]["problem"]
        assert not daemon.named("orchestrator.was_fenced")
        eventually(lambda: len(daemon.named("settle.gone")) == 3, "three ends of jobs that are gone")
        _works(local_road)
        assert len(daemon.told("orchestrator.registered", 2)) == 2
        assert [local_road.producer.get_job_status(job.id) for job in jobs] == [None] * 3
        assert not any(local_road.client.exists(local_road.keyspace.job(job.id)) for job in jobs)


def test_a_redis_that_loads_is_waited_for(local_redis: ProcessServer, local_road: Road) -> None:
    """After a restart it answers LOADING for seconds: no process ends, one that starts meanwhile and the
    producer wait as well (F31).
    """
    with local_road.running() as daemon:
        with local_road.client.pipeline(transaction=False) as pipeline:
            for number in range(4000):
                pipeline.set(f"ballast:{number}", "x" * 100)
            pipeline.execute()
        local_redis.kill()
        # A server's own switch for tests of loading: microseconds per command.
        local_redis.start_with("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
        eventually(lambda: _loads(local_redis.url), "a server that loads")
        with local_road.start() as late:
            _works(local_road)
            assert daemon.told("redis.back")
            local_road.ready(late)
            local_road.stop(late)


def _loads(url: str) -> bool:
    """Ask once: a server that loads answers only now and then, so a client's greeting would take too long."""
    address = urlsplit(url)
    try:
        with socket.create_connection((address.hostname, address.port or 6379), timeout=5) as asking:
            asking.sendall(b"GET x\r\n")
            return asking.recv(100).startswith(b"-LOADING")
    except OSError:
        return False


def _says(client: "redis.Redis", code: str) -> bool:
    try:
        client.get("x")
    except redis.RedisError as error:
        return code in f"{type(error).__name__} {error}".upper()
    return False


def test_a_redis_kept_busy_by_a_script_is_waited_for(local_redis: ProcessServer, local_road: Road) -> None:
    """Somebody's endless script: BUSY to everybody until it is killed; then all goes on, and nobody was
    declared dead (F35).
    """
    local_road.configure(**LEASE)
    local_road.client.config_set("busy-reply-threshold", "50")
    with local_road.running() as daemon, local_road.running() as other:
        _works(local_road)

        def block() -> None:
            with redis.Redis.from_url(local_redis.url) as client, pytest.raises(redis.RedisError):
                client.eval("while true do end", 0)

        blocker = threading.Thread(target=block)
        blocker.start()
        with redis.Redis.from_url(local_redis.url, retry=None) as client:
            eventually(lambda: _says(client, "BUSY"), "a busy server")
            assert not threading.Event().wait(2 * LEASE["lease_seconds"])
            client.script_kill()
        blocker.join()
        _works(local_road)
        assert not any(each.named("orchestrator.was_fenced") for each in (daemon, other))


def test_a_redis_that_cannot_save_refuses_cleanly_and_loses_nothing(
    local_redis: ProcessServer, local_road: Road
) -> None:
    """MISCONF to every write: enqueueing fails without a trace of a job, what runs goes on, and its end is
    written once there is room again (F36).
    """
    with local_road.running() as daemon:
        job = local_road.producer.enqueue("hold", {"gate": "gate"})
        local_road.seen(1)
        client: Any = local_road.client
        client.config_set("appendonly", "no")
        client.config_set("save", "3600 1")
        in_the_way = local_redis.folder / "dump.rdb"
        in_the_way.mkdir()
        client.bgsave()
        eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "a failed save")
        with (
            closing(Producer(local_redis.url, key_prefix="rrq", timeout_seconds=1)) as producer,
            pytest.raises(RedisUnavailable, match="MISCONF"),
        ):
            producer.enqueue("work", job_id="refused")
        local_road.open()
        local_road.seen(1, what="end")
        daemon.wait_for("redis.refuses_writes")
        in_the_way.rmdir()
        client.bgsave()
        assert local_road.result(job.id).status is JobStatus.COMPLETED
        assert client.exists(local_road.keyspace.job("refused")) == 0
        _works(local_road)
    assert len(local_road.sightings("start", job.id)) == 1


def test_a_slow_redis_kills_nobody(own_redis: RedisServer, own_road: Road) -> None:
    """Every command takes a third of a lease for one of two orchestrators: it goes on working, and is not
    declared dead (F41).
    """
    own_road.configure(lease_seconds=3, lease_beat_seconds=0.5)
    with Proxy(own_redis.url) as proxy, own_road.running() as other, _behind(own_road, proxy) as slow:
        own_road.ready(slow)
        me = slow.named("orchestrator.registered")[0]["orchestrator"]
        with proxy.slow(1.0):
            eventually(lambda: me in _workers(own_road), "a job that the slow one took and ended")
            own_road.beats(me, 2)
        assert not any(each.named("orchestrator.was_fenced") for each in (slow, other))
        own_road.stop(slow)


def test_a_redis_without_room_for_clients_is_waited_for(own_redis: RedisServer, own_road: Road) -> None:
    """Connections are dropped and new ones refused: no process ends, and work goes on with the next (F42)."""
    with own_road.running() as daemon, ExitStack() as guests:
        _works(own_road)
        admin: Any = own_road.client
        admin.config_set("maxclients", 6)
        admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        taken = [guests.enter_context(redis.Redis.from_url(own_redis.url)) for _ in range(8)]
        eventually(lambda: any(_says(each, "MAX NUMBER OF CLIENTS") for each in taken), "a full server")
        daemon.wait_for("redis.lost")
        guests.close()
        admin.config_set("maxclients", 10_000)
        _works(own_road)
        assert daemon.process.poll() is None


def test_a_partition_hands_the_jobs_over(own_redis: RedisServer, own_road: Road) -> None:
    """One of two orchestrators reaches Redis no more: the other one runs its jobs; it claims nothing; when it
    is back, what it has to tell is stale (F45).
    """
    own_road.configure(**LEASE)
    with Proxy(own_redis.url) as proxy, _behind(own_road, proxy) as cut_off:
        own_road.ready(cut_off)
        jobs = own_road.producer.enqueue_many(Job("hold", {"gate": "gate"}) for _ in range(4))
        own_road.seen(4)
        with own_road.running() as other, proxy.black_hole():
            own_road.seen(8)
            other.wait_for("orchestrator.fenced")
            own_road.open()
            assert {each.status for each in own_road.results(jobs)} == {JobStatus.COMPLETED}
            own_road.seen(8, what="end")
            owners = {own_road.record(job.id).worker_id for job in jobs}
            own_road.stop(other)
        cut_off.wait_for("orchestrator.was_fenced")
        assert len(cut_off.told("settle.stale", 4)) == 4
        _works(own_road)
        assert {own_road.record(job.id).worker_id for job in jobs} == owners
        assert {own_road.record(job.id).crash_count for job in jobs} == {1}
        own_road.stop(cut_off)
