"""Deleting what waits, and dead letters."""

from collections.abc import Iterator

import pytest

from rrq_cli.params import GlobalOptions
from rrq_cli.store.choosing import choose_dead
from rrq_cli.store.client import Store, open_store
from rrq_cli.store.jobs import JobFilter
from rrq_cli.store.purging import purge_dead, purge_queue
from support.cli import World


@pytest.fixture
def store(world: World) -> Iterator[Store]:
    """Return a connection to the world's keys."""
    with open_store(GlobalOptions(redis_dsn=world.url, prefix=world.keys.prefix)) as opened:
        yield opened


def test_a_queue_is_emptied_in_batches(world: World, store: Store) -> None:
    """However many jobs wait, due or not, all go; entries without a job stay and stop nothing."""
    world.queued("ghost", due_ms=2.0)
    for _ in range(450):
        world.enqueue(defer_by=60)
    steps: list[float] = []
    done = purge_queue(store, "default", progress=steps.append)
    assert done.results == {"ok": 450, "gone": 1}
    assert steps == [200, 200, 51]
    assert world.redis.zrange(world.keys.queue("default"), 0, -1) == [b"ghost"]
    assert [*world.redis.scan_iter(f"{world.keys.job('')}*")] == []


def test_no_entry_stays_of_jobs_that_name_no_queue(world: World, store: Store) -> None:
    """Of a foreign producer, in a queue that none of ours has used."""
    job_id = world.enqueue()
    world.redis.hdel(world.keys.job(job_id), "queue_name")
    world.redis.rename(world.keys.queue("default"), world.keys.queue("media"))
    assert purge_queue(store, "media").results == {"ok": 1}
    assert not world.redis.exists(world.keys.queue("media"))


def test_what_runs_or_ended_is_left_alone(world: World, store: Store) -> None:
    """Only waiting jobs go: a finished one whose id is in the queue keeps its result."""
    done, other = world.completed(), world.enqueue()
    world.queued(done)
    assert purge_queue(store, "default").results == {"ok": 1, "busy": 1}
    assert world.redis.hget(world.keys.job(done), "status") == b"COMPLETED"
    assert not world.redis.exists(world.keys.job(other))


def test_a_queue_that_is_none(world: World, store: Store) -> None:
    """A key of another type is told and left alone."""
    world.redis.set(world.keys.queue("odd"), "x")
    assert purge_queue(store, "odd").problem == "the key has the wrong type; expected a sorted set"
    assert world.redis.get(world.keys.queue("odd")) == b"x"


def test_dead_letters(world: World, store: Store) -> None:
    """Those that were chosen go, record and entry; nothing else does."""
    first, second, other = world.dead(), world.dead(), world.dead(queue_name="media")
    done = purge_dead(store, choose_dead(store, ["default"], JobFilter(queue="default"), most=1))
    assert (done.ids, done.results) == ([second], {"ok": 1})
    left = world.redis.lrange(world.keys.dlq("default"), 0, -1)
    assert left == [other.encode(), first.encode()]
    assert not world.redis.exists(world.keys.job(second))
