"""Everything at a glance, read from Redis."""

from rrq_cli.store.client import Store
from rrq_cli.store.overview import look_over
from rrq_cli.store.throughput import Throughput
from rrq_protocol import Settings
from support.cli import WORKER, World


def test_one_look(world: World) -> None:
    """Queues, orchestrators, running jobs with the longest first, dead letters."""
    store = Store(world.redis, Settings(key_prefix=world.keys.prefix), "test")
    empty = look_over(store, Throughput())
    assert (empty.running, empty.dead, empty.dead_total, empty.orchestrators) == ([], [], 0, [])
    dead = world.dead()
    first = world.enqueue()
    world.claim()
    second = world.enqueue()
    world.claim()
    world.redis.hset(world.keys.job(first), "start_time", "2026-01-01T00:00:00Z")
    world.redis.hdel(world.keys.job(second), "start_time")
    seen = look_over(store, Throughput())
    assert [each.name for each in seen.queues] == ["default"]
    assert [each.id for each in seen.orchestrators] == [WORKER]
    assert [row.id for row in seen.running] == [second, first]
    assert ([row.id for row in seen.dead], seen.dead_total) == ([dead], 1)


def test_queues_to_look_at_come_first(world: World) -> None:
    """Paused ones, then busy ones, then those with jobs for later, then the others; by name among equals."""
    store = Store(world.redis, Settings(key_prefix=world.keys.prefix), "test")
    world.enqueue(queue_name="zebra")
    world.enqueue(queue_name="yak")
    world.enqueue(queue_name="later", defer_by=600)
    world.redis.sadd(world.keys.paused, "shut")
    seen = look_over(store, Throughput())
    assert [each.name for each in seen.queues] == ["shut", "yak", "zebra", "later", "default"]
