"""Which dead letters are meant, and doing something to many of them."""

from collections.abc import Sequence
from typing import Any

import pytest

from rrq_cli.store.choosing import carry_out, choose_dead, ids_of
from rrq_cli.store.client import Store
from rrq_cli.store.jobs import JobFilter
from rrq_protocol import Settings, transitions
from support.cli import World


@pytest.fixture
def store(world: World) -> Store:
    """Return a store in the test's key space."""
    return Store(world.redis, Settings(key_prefix=world.keys.prefix), "test")


def test_the_newest_that_fit_are_chosen(world: World, store: Store) -> None:
    """By queue and function, as many as asked for, in any batch size; each with its place in the DLQ."""
    ids = [world.dead(function="f" if number % 2 else "py#g") for number in range(6)]
    media = world.dead(queue_name="media", dlq_name="other")
    names = ["default", "other", "none"]
    chosen = choose_dead(store, names)
    assert ids_of(chosen) == [*ids[::-1], media]
    assert [entry.place for entry in chosen["default"]] == [5, 4, 3, 2, 1, 0]
    for size in (1, 2, 100):
        some = choose_dead(store, names, JobFilter(function="g"), most=2, batch_size=size)
        assert some == {"default": [(ids[4], 4), (ids[2], 2)]}
        assert choose_dead(store, names, JobFilter(queue="media"), batch_size=size) == {"other": [(media, 0)]}
    assert choose_dead(store, names, JobFilter(queue="media"), job_id=ids[0]) == {}
    assert choose_dead(store, names, job_id=ids[0], most=1) == {"default": [(ids[0], 0)]}


def test_every_entry_is_looked_at_once(world: World, store: Store) -> None:
    """What is told of the progress adds up to what there is; an id that is listed twice is chosen once."""
    first, second = world.dead(), world.dead()
    world.redis.lpush(world.keys.dlq("default"), first, "ghost")
    seen: list[float] = []
    chosen = choose_dead(store, ["default"], JobFilter(function="work"), batch_size=3, progress=seen.append)
    assert (ids_of(chosen), sum(seen)) == ([first, second], 4)


def test_what_comes_in_meanwhile_is_not_meant(world: World, store: Store) -> None:
    """Dead letters that come while the list is read move none of the others."""
    ids = [world.dead() for _ in range(4)]

    def another(_: float) -> None:
        world.redis.lpush(world.keys.dlq("default"), world.enqueue())

    chosen = choose_dead(store, ["default"], JobFilter(queue="default"), batch_size=1, progress=another)
    assert chosen == {"default": [(each, 3 - at) for at, each in enumerate(ids[::-1])]}


def test_others_may_take_entries_meanwhile(world: World, store: Store) -> None:
    """Where somebody else revives some, those that moved are found again, in order; each is counted once."""
    ids = [world.dead() for _ in range(60)]
    chosen = choose_dead(store, ["default"])
    told: list[float] = []

    def call(name: str, page: Sequence[str], places: Sequence[int]) -> Any:
        if len(told) == 1:
            world.run(transitions.requeue(store.keys, name, [ids[12]], target_queue="elsewhere"))
            world.redis.lrem(store.keys.dlq(name), 0, ids[40])
        return transitions.requeue(store.keys, name, page, places=places)

    results = carry_out(store, chosen, call, batch_size=10, progress=told.append)
    assert results == {"ok": 58, "not_failed": 1, "not_in_dlq": 1}
    assert sum(told) == 60
    revived = [each.encode() for each in ids if each not in {ids[12], ids[40]}]
    assert world.redis.zrange(store.keys.queue("default"), 0, -1) == revived


def test_entries_that_cannot_be_spelled_end_nothing(world: World, store: Store) -> None:
    """Bytes that are no text stay in the list, are told, and stop neither the others nor the command."""
    first = world.dead()
    world.redis.lpush(store.keys.dlq("default"), b"\xff", b"\xfe")
    second = world.dead()

    def call(name: str, page: Sequence[str], places: Sequence[int]) -> Any:
        return transitions.purge(store.keys, name, page, places=places)

    for size in (1, 100):
        results = carry_out(store, choose_dead(store, ["default"]), call, batch_size=size)
        assert results == ({"ok": 2, "not_in_dlq": 2} if size == 1 else {"not_in_dlq": 2})
    assert world.redis.lrange(store.keys.dlq("default"), 0, -1) == [b"\xfe", b"\xff"]
    assert not world.redis.exists(store.keys.job(first), store.keys.job(second))
