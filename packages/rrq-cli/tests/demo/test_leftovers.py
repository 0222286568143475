"""What an earlier demo left is cleared away, and nothing else."""

import os
import socket
import time

import pytest

from rrq_cli.demo import leftovers
from rrq_cli.demo.leftovers import clear, demo_records, orchestrators
from rrq_cli.exits import CliError
from rrq_cli.store.client import Store
from rrq_protocol import Settings
from rrq_protocol.transitions import fence
from support.cli import WORKER, World

DEAD_PID = 2**22 + 1  # above the kernel's greatest


@pytest.fixture
def store(world: World) -> Store:
    """Return a store in the test's key space."""
    return Store(world.redis, Settings(key_prefix=world.keys.prefix, default_dlq_name="demo"), "test")


def _no_wait(seconds: float) -> None:
    """Go on at once."""


def test_jobs_in_every_state_are_deleted(world: World, store: Store) -> None:
    """Waiting, ended and running jobs of the demo are gone, with their counters; others are as they were."""
    world.completed(queue_name="demo")
    world.dead(queue_name="demo", dlq_name="demo")
    dead_elsewhere = world.dead(queue_name="demo", dlq_name="other")
    other_dead = world.dead(queue_name="mine", dlq_name="demo-2")
    other = world.enqueue(queue_name="mine")
    world.enqueue(queue_name="demo")
    world.enqueue(queue_name="demo")
    world.claim("demo")
    world.register(queues=["demo"], host=socket.gethostname(), pid=DEAD_PID)
    assert len(demo_records(store)) == 5
    assert clear(store, _no_wait) == 5
    assert demo_records(store) == {}
    assert orchestrators(store) == {}
    for key in (world.keys.queue("demo"), world.keys.dlq("demo"), world.keys.stats("demo")):
        assert world.redis.exists(key) == 0
    assert dead_elsewhere.encode() not in world.redis.lrange(world.keys.dlq("other"), 0, -1)
    assert world.redis.zrange(world.keys.queue("mine"), 0, -1) == [other.encode()]
    assert world.redis.lrange(world.keys.dlq("demo-2"), 0, -1) == [other_dead.encode()]
    assert clear(store, _no_wait) == 0


def test_a_lapsed_orchestrator_is_not_waited_for(world: World, store: Store) -> None:
    """One whose lease is past is fenced, wherever it ran."""
    world.enqueue(queue_name="demo")
    world.claim("demo")
    world.register(lease_ms=-1, queues=["demo"], host="elsewhere", pid=1)
    assert clear(store, _no_wait) == 1


@pytest.mark.parametrize("lease_ms", [-1, 400])
def test_without_a_report_the_lease_decides(world: World, store: Store, lease_ms: int) -> None:
    """A dead orchestrator's report expires; its row and its jobs are found all the same, once it lapsed."""
    world.enqueue(queue_name="demo")
    world.claim("demo")
    world.register(lease_ms=lease_ms, queues=["demo"])
    world.redis.delete(world.keys.health(WORKER))
    assert clear(store, time.sleep) == 1
    assert world.redis.zcard(world.keys.workers) == 0
    assert world.redis.exists(world.keys.active(WORKER)) == 0


@pytest.mark.parametrize("row", ["", "inf", "1e300"])
@pytest.mark.parametrize("lost", ["row", "row and set", "row, set and owner"])
def test_jobs_that_nobody_holds_are_found(world: World, store: Store, row: str, lost: str) -> None:
    """A job that is ACTIVE under an orchestrator in neither list, or in no set, is taken back and deleted."""
    world.enqueue(queue_name="demo")
    (job,) = world.claim("demo")
    world.redis.delete(world.keys.workers, world.keys.health(WORKER))
    if "set" in lost:
        world.redis.delete(world.keys.active(WORKER))
    if "owner" in lost:
        world.redis.hset(world.keys.job(job.id), "worker_id", b"\xff odd")
    if row:
        world.redis.execute_command("ZADD", world.keys.workers, row, "stray")  # type: ignore[no-untyped-call]
    assert clear(store, _no_wait) == 1
    assert world.redis.exists(world.keys.job(job.id)) == 0
    assert world.redis.zcard(world.keys.reaping) == 0


def test_an_interrupted_recovery_is_finished(world: World, store: Store) -> None:
    """An orchestrator that was fenced before, and holds jobs of others too, gives all of them back."""
    world.enqueue(queue_name="demo")
    other = world.enqueue(queue_name="mine")
    world.claim("demo")
    world.claim("mine")
    lease = world.redis.zscore(world.keys.workers, WORKER)
    assert lease is not None
    world.run(fence(world.keys, WORKER, lease))
    assert clear(store, _no_wait) == 1
    assert world.redis.zcard(world.keys.reaping) == 0
    assert world.redis.zrange(world.keys.queue("mine"), 0, -1) == [other.encode()]


def test_what_cannot_be_deleted_is_no_success(
    world: World, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a job stays, whatever the reason, it is named and nothing is pretended."""
    monkeypatch.setattr(leftovers, "_GIVE_UP_S", 0)
    world.enqueue(queue_name="demo", job_id="stuck")
    world.claim("demo")
    world.redis.delete(world.keys.workers, world.keys.health(WORKER), world.keys.active(WORKER))
    world.redis.set(world.keys.active(WORKER), "x")
    with pytest.raises(CliError, match=r"1 job .* cannot be deleted, such as stuck"):
        clear(store, _no_wait)


def test_someone_elses_orchestrator_is_respected(
    world: World, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A live one that serves the queue is neither fenced nor are its jobs deleted."""
    monkeypatch.setattr(leftovers, "_GIVE_UP_S", 0)
    job_id = world.enqueue(queue_name="demo")
    world.register(queues=["demo"], host=socket.gethostname(), pid=os.getpid())
    world.register("other", queues=["mine"])
    with pytest.raises(CliError, match="another orchestrator"):
        clear(store, _no_wait)
    assert list(orchestrators(store)) == ["worker-1"]
    assert job_id in demo_records(store)


def test_one_that_holds_a_job_is_respected_whatever_it_reports(
    world: World, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A live orchestrator with a job of the demo in its hands is not fenced."""
    monkeypatch.setattr(leftovers, "_GIVE_UP_S", 0)
    world.enqueue(queue_name="demo")
    world.claim("demo")
    world.register(queues=["mine"])
    with pytest.raises(CliError, match="another orchestrator"):
        clear(store, _no_wait)
    assert world.redis.zscore(world.keys.workers, WORKER) is not None
