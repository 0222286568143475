"""Dead letters are revived."""

import pytest

from rrq_cli.store.choosing import choose_dead
from rrq_cli.store.client import Store
from rrq_cli.store.jobs import JobFilter
from rrq_cli.store.requeueing import requeue_dead
from rrq_protocol import Settings
from support.cli import World


@pytest.fixture
def store(world: World) -> Store:
    """Return a store in the test's key space."""
    return Store(world.redis, Settings(key_prefix=world.keys.prefix), "test")


def test_the_chosen_ones_go_back(world: World, store: Store) -> None:
    """Those that were chosen go to their own queue in the order they failed in, or to another one."""
    ids = [world.dead() for _ in range(3)]
    seen: list[float] = []
    done = requeue_dead(store, choose_dead(store, ["default"], most=2), progress=seen.append)
    assert (done.ids, done.results, seen) == ([ids[2], ids[1]], {"ok": 2}, [2])
    queued = world.redis.zrange(world.keys.queue("default"), 0, -1)
    assert queued == [ids[1].encode(), ids[2].encode()]
    requeue_dead(store, choose_dead(store, ["default"]), target_queue="again")
    assert world.redis.zrange(world.keys.queue("again"), 0, -1) == [ids[0].encode()]


def test_some_of_many(world: World, store: Store) -> None:
    """Dead letters of one queue among others of another go in order; the others stay in theirs."""
    ids = [world.dead(queue_name="mail" if number % 3 else "default") for number in range(90)]
    wanted = [each.encode() for number, each in enumerate(ids) if number % 3]
    told: list[float] = []
    chosen = choose_dead(store, ["default"], JobFilter(queue="mail"))
    done = requeue_dead(store, chosen, batch_size=20, progress=told.append)
    assert (done.results, told) == ({"ok": 60}, [20, 20, 20])
    assert world.redis.zrange(world.keys.queue("mail"), 0, -1) == wanted
    left = [each.encode() for each in reversed(ids) if each.encode() not in wanted]
    assert world.redis.lrange(world.keys.dlq("default"), 0, -1) == left
