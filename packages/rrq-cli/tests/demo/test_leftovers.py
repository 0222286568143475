"""What an earlier demo left is cleared away, and nothing else."""

import os
import socket

import pytest

from rrq_cli.demo import leftovers
from rrq_cli.demo.leftovers import clear, demo_records, orchestrators
from rrq_cli.exits import CliError
from rrq_cli.store.client import Store
from rrq_protocol import Settings
from support.cli import World

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
