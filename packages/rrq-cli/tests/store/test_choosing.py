"""Which dead letters are meant, and doing something to many of them."""

import pytest

from rrq_cli.store.choosing import choose_dead, ids_of
from rrq_cli.store.client import Store
from rrq_cli.store.jobs import JobFilter
from rrq_protocol import Settings
from support.cli import World


@pytest.fixture
def store(world: World) -> Store:
    """Return a store in the test's key space."""
    return Store(world.redis, Settings(key_prefix=world.keys.prefix), "test")


def test_the_newest_that_fit_are_chosen(world: World, store: Store) -> None:
    """By queue and function, as many as asked for, in any batch size."""
    ids = [world.dead(function="f" if number % 2 else "py#g") for number in range(6)]
    media = world.dead(queue_name="media", dlq_name="other")
    names = ["default", "other", "none"]
    chosen = choose_dead(store, names)
    assert ids_of(chosen) == [*ids[::-1], media]
    for size in (1, 2, 100):
        some = choose_dead(store, names, JobFilter(function="g"), most=2, batch_size=size)
        assert some == {"default": [ids[4], ids[2]]}
        assert choose_dead(store, names, JobFilter(queue="media"), batch_size=size) == {"other": [media]}
    assert choose_dead(store, names, JobFilter(queue="media"), job_id=ids[0]) == {}
    assert choose_dead(store, names, job_id=ids[0], most=1) == {"default": [ids[0]]}


def test_every_entry_is_looked_at_once(world: World, store: Store) -> None:
    """What is told of the progress adds up to what there is; an id that is listed twice is chosen once."""
    first, second = world.dead(), world.dead()
    world.redis.lpush(world.keys.dlq("default"), first, "ghost")
    seen: list[float] = []
    chosen = choose_dead(store, ["default"], JobFilter(function="work"), batch_size=3, progress=seen.append)
    assert (ids_of(chosen), sum(seen)) == ([first, second], 4)


def test_what_comes_in_meanwhile_is_not_meant(world: World, store: Store) -> None:
    """Dead letters that come while the list is read are not among the chosen."""
    ids = [world.dead() for _ in range(4)]

    def another(_: float) -> None:
        world.redis.lpush(world.keys.dlq("default"), world.enqueue())

    chosen = choose_dead(store, ["default"], JobFilter(queue="default"), batch_size=1, progress=another)
    assert chosen == {"default": ids[::-1]}
