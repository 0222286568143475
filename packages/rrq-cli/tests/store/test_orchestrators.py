"""Orchestrators are listed by their leases, whatever their reports say."""

import pytest

from rrq_cli.store.client import Store
from rrq_cli.store.orchestrators import active_by_queue, active_ids, list_orchestrators, read_report
from rrq_protocol import Settings
from rrq_protocol.transitions import fence
from support.cli import WORKER, World


@pytest.fixture
def store(world: World) -> Store:
    """Return a store in the test's key space."""
    return Store(world.redis, Settings(key_prefix=world.keys.prefix), "test")


def test_live_lapsed_and_dead_are_told_apart(world: World, store: Store) -> None:
    """A lease that runs is live, one that is past is lapsed, one that was taken is being reaped."""
    world.register("living", host="h", pid=7, version="1", concurrency_limit=4)
    world.register("late", lease_ms=-5000)
    world.register("dead")
    lease = world.redis.zscore(world.keys.workers, "dead")
    assert lease is not None
    world.run(fence(world.keys, "dead", lease))
    found = list_orchestrators(store)
    assert [(each.id, each.state) for each in found] == [
        ("living", "live"),
        ("late", "lapsed"),
        ("dead", "reaping"),
    ]
    assert (found[0].host, found[0].pid, found[0].version, found[0].concurrency_limit) == ("h", 7, "1", 4)
    assert found[1].lease_seconds_left is not None
    assert found[1].lease_seconds_left < 0


def test_running_jobs_are_counted_by_queue(world: World, store: Store) -> None:
    """What orchestrators hold is read from their active sets."""
    for queue in ("a", "a", "b"):
        world.enqueue(queue_name=queue)
    taken = [*world.claim("a", 2), *world.claim("b", 1)]
    assert active_by_queue(store) == {"a": 2, "b": 1}
    assert sorted(active_ids(store)[WORKER]) == sorted(job.id for job in taken)
    assert list_orchestrators(store)[0].active_jobs == 3


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (None, "no health report"),
        (b"{", "the health report is no JSON object"),
        (b"[]", "the health report is no JSON object"),
        (b"\xff", "the health report is no JSON object"),
        (b'{"queues": 3, "pid": "x", "host": 4, "timestamp": {}}', None),
        (b'{"timestamp": "2026-01-01T00:00:00Z"}', None),
        (b'{"timestamp": 1e300}', None),
    ],
)
def test_any_report_is_borne(reply: bytes | None, problem: str | None) -> None:
    """A report that is missing, broken or odd leaves its fields open."""
    info = read_report("w", reply)
    assert info.problem == problem
    assert (info.queues, info.pid, info.host) == ([], None, None)


def test_wrong_types_break_nothing(world: World, store: Store) -> None:
    """Where a stranger put something else in place of the lease rows, nobody is alive."""
    world.redis.set(world.keys.workers, "text")
    assert list_orchestrators(store) == []
    assert active_by_queue(store) == {}
