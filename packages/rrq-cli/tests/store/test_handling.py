"""Doing something to many dead letters, each where it stands, while others take entries out."""

import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from redis import Redis

from rrq_cli.store.choosing import choose_dead
from rrq_cli.store.client import Store
from rrq_cli.store.handling import carry_out
from rrq_cli.store.jobs import JobFilter
from rrq_cli.store.purging import purge_dead
from rrq_cli.store.records import text_of
from rrq_cli.store.requeueing import requeue_dead
from rrq_protocol import Settings, transitions
from support.cli import World


@pytest.fixture
def store(world: World) -> Store:
    """Return a store in the test's key space."""
    return Store(world.redis, Settings(key_prefix=world.keys.prefix), "test")


def bury(store: Store, ids: Sequence[str], queue: Callable[[str], str] = lambda job_id: "mail") -> None:
    """Put dead letters into the DLQ, oldest first; an id may come more than once."""
    with store.redis.pipeline() as pipe:
        for job_id in ids:
            record: dict[Any, Any] = {
                "id": job_id,
                "status": "FAILED",
                "queue_name": store.keys.queue(queue(job_id)),
                "function_name": "work",
                "dlq_name": "default",
            }
            pipe.hset(store.keys.job(job_id), mapping=record)
            pipe.lpush(store.keys.dlq("default"), job_id)
        pipe.execute()


def queued(store: Store, queue: str = "mail") -> list[str]:
    """Return the ids that wait in a queue."""
    waiting: Any = store.redis.zrange(store.keys.queue(queue), 0, -1)
    return [text_of(each) for each in waiting]


def dead(store: Store) -> list[str]:
    """Return the ids in the DLQ, oldest first."""
    listed: Any = store.redis.lrange(store.keys.dlq("default"), 0, -1)
    return [text_of(each) for each in listed][::-1]


def twice(seed: int) -> list[str]:
    """Return 300 ids of which 100 come twice, mixed."""
    names = [f"j{number}" for number in range(300)]
    chance = random.Random(seed)
    mixed = names + chance.sample(names, 100)
    chance.shuffle(mixed)
    return mixed


def newest_only(ids: Sequence[str]) -> list[str]:
    """Return each id once, in the order of its last entry."""
    return list(dict.fromkeys(reversed(ids)))[::-1]


@pytest.mark.parametrize("seed", [1, 2])
def test_ids_that_are_listed_twice(store: Store, seed: int) -> None:
    """All are revived, in the order of their newest entries, and none of their entries stays; nor does one
    where they are deleted, or where only some are chosen.
    """
    mixed = twice(seed)
    for size in (7, 100):
        bury(store, mixed)
        assert requeue_dead(store, choose_dead(store, ["default"]), batch_size=size).results == {"ok": 300}
        assert (dead(store), queued(store)) == ([], newest_only(mixed))
        store.redis.delete(store.keys.queue("mail"))
    bury(store, mixed)
    chosen = choose_dead(store, ["default"], most=40)
    assert purge_dead(store, chosen).results == {"ok": 40}
    assert dead(store) == [each for each in mixed if each not in chosen["default"]]
    assert purge_dead(store, choose_dead(store, ["default"])).results == {"ok": 260}
    assert (dead(store), [*store.redis.scan_iter(store.keys.job("*"))]) == ([], [])


def test_an_entry_of_a_job_that_ended_is_purged_with_it(world: World, store: Store) -> None:
    """What is deleted leaves no entry behind, and moves none of the others, whatever its status was."""
    bury(store, ["a", "b", "c", "d"])
    world.redis.hset(store.keys.job("b"), "status", "COMPLETED")
    assert purge_dead(store, choose_dead(store, ["default"])).results == {"ok": 4}
    assert dead(store) == []


def test_two_commands_at_once(world: World, store: Store) -> None:
    """Two that revive different ones among the same dead letters both do all of theirs, in order."""
    names = [f"j{number:05}" for number in range(6000)]
    bury(store, names, lambda job_id: "odd" if int(job_id[1:]) % 2 else "even")
    results: dict[str, dict[str, int]] = {}
    ready = threading.Barrier(2)

    def revive(queue: str) -> None:
        with Redis.from_url(world.url) as client:
            own = Store(client, store.settings, "test")
            chosen = choose_dead(own, ["default"], JobFilter(queue=queue), batch_size=5000)
            ready.wait(60)
            results[queue] = requeue_dead(own, chosen, batch_size=20).results

    threads = [threading.Thread(target=revive, args=[queue]) for queue in ("odd", "even")]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert results == {"odd": {"ok": 3000}, "even": {"ok": 3000}}
    assert (queued(store, "even"), queued(store, "odd"), dead(store)) == (names[::2], names[1::2], [])


def test_others_take_entries_before_each_call(world: World, store: Store) -> None:
    """However often they move, all that are there are done, in order; those that moved are looked for near
    where they stood, and the whole list is not read for each.
    """
    names = [f"j{number:05}" for number in range(6000)]
    bury(store, names, lambda job_id: "mail" if int(job_id[1:]) % 10 == 0 else "other")
    others = [each for each in names if int(each[1:]) % 10]
    chosen = {"default": [each for each in names[::-1] if each not in set(others)]}
    calls = 0

    def call(name: str, page: Sequence[str], places: Sequence[Sequence[int]]) -> Any:
        nonlocal calls
        calls += 1
        if calls % 2:  # some that are older, some in between, some that are newer
            at = calls * 20
            world.run(transitions.purge(store.keys, name, [*others[at : at + 5], *others[-at - 5 : -at]]))
        return transitions.requeue(store.keys, name, page, places=places)

    world.redis.config_resetstat()
    assert carry_out(store, chosen, call) == {"ok": 600}
    assert queued(store) == names[::10]
    assert world.redis.info("commandstats")["cmdstat_lrange"]["calls"] <= 3 * calls + 10


def test_doubled_ids_while_others_take_entries(world: World, store: Store) -> None:
    """No entry of a job that was revived stays, however far apart its entries are."""
    names = [f"j{number:04}" for number in range(1500)]
    bury(store, [*names, *names[::50]], lambda job_id: "mail" if int(job_id[1:]) % 50 == 0 else "other")
    others = iter([each for each in names if int(each[1:]) % 50])
    calls: list[Sequence[str]] = []
    told: list[float] = []

    def call(name: str, page: Sequence[str], places: Sequence[Sequence[int]]) -> Any:
        calls.append(page)
        if len(calls) % 2:
            world.run(transitions.purge(store.keys, name, [next(others)]))
        return transitions.requeue(store.keys, name, page, places=places)

    results = carry_out(store, {"default": names[::50][::-1]}, call, batch_size=10, progress=told.append)
    assert (results, sum(told)) == ({"ok": 30}, 30)
    assert [each for each in dead(store) if each in names[::50]] == []
    assert queued(store) == names[::50]


def test_entries_that_never_stand_still(world: World, store: Store) -> None:
    """Where the list is turned before each call it ends nevertheless, and says which are left in it."""
    bury(store, ["a", "b", "c", "d", "e"])

    def call(name: str, page: Sequence[str], places: Sequence[Sequence[int]]) -> Any:
        world.redis.rpoplpush(store.keys.dlq(name), store.keys.dlq(name))
        return transitions.requeue(store.keys, name, page, places=places)

    assert carry_out(store, {"default": ["c", "ghost", "a"]}, call) == {"not_in_dlq": 1, "moved": 2}
    assert sorted(dead(store)) == ["a", "b", "c", "d", "e"]


def test_others_may_take_entries_meanwhile(world: World, store: Store) -> None:
    """Where somebody else revives some, those that moved are found again, in order; each is counted once."""
    ids = [world.dead() for _ in range(60)]
    chosen = choose_dead(store, ["default"])
    told: list[float] = []

    def call(name: str, page: Sequence[str], places: Sequence[Sequence[int]]) -> Any:
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

    def call(name: str, page: Sequence[str], places: Sequence[Sequence[int]]) -> Any:
        return transitions.purge(store.keys, name, page, places=places)

    for size in (1, 100):
        results = carry_out(store, choose_dead(store, ["default"]), call, batch_size=size)
        assert results == ({"ok": 2, "moved": 2} if size == 1 else {"moved": 2})
    assert world.redis.lrange(store.keys.dlq("default"), 0, -1) == [b"\xfe", b"\xff"]
    assert not world.redis.exists(store.keys.job(first), store.keys.job(second))
