"""Queues are found and counted without scanning, and recounted by scanning when asked."""

from typing import Any

import pytest

from rrq_cli.store.client import Store
from rrq_cli.store.queues import (
    batches,
    glob_escaped,
    inspect_queue,
    list_queues,
    queue_names,
    queue_stats,
    scan_keys,
    scan_statuses,
)
from rrq_protocol import Settings
from rrq_protocol.settings import WorkerConfig
from rrq_protocol.transitions import SettleKind
from support.cli import World


@pytest.fixture
def store(world: World) -> Store:
    """Return a store in the test's key space, with a queue of its own in the settings."""
    settings = Settings(
        key_prefix=world.keys.prefix,
        worker=WorkerConfig(queues={"served": 1}),
        runner_routes={"routed": "python"},
    )
    return Store(world.redis, settings, "test")


def test_names_come_from_settings_and_registry(world: World, store: Store) -> None:
    """Queues of the settings and those ever used are known; a stranger's is found only by a scan."""
    world.enqueue(queue_name="used")
    world.redis.zadd(world.keys.queue("foreign"), {"x": 1})
    world.redis.sadd(world.keys.queues, "not a name\x1b")
    assert queue_names(store) == ["default", "routed", "served", "used"]
    assert "foreign" in queue_names(store, scan=0)


def test_a_registry_of_the_wrong_type_breaks_nothing(world: World, store: Store) -> None:
    """Where the set of names is something else, the settings' queues are still there."""
    world.redis.set(world.keys.queues, "text")
    assert "default" in queue_names(store)


def test_ready_and_later_are_told_apart(world: World, store: Store) -> None:
    """Due jobs and deferred ones are counted apart; a paused queue and a broken key are told."""
    world.enqueue()
    world.enqueue(defer_by=60)
    world.redis.sadd(world.keys.paused, "default")
    world.redis.set(world.keys.queue("broken"), "text")
    default, broken = list_queues(store, ["default", "broken"])
    assert (default.ready, default.later, default.paused, default.problem) == (1, 1, True, None)
    assert broken.problem == "the key has the wrong type; expected a sorted set"


def test_inspecting_pages_through_a_queue(world: World, store: Store) -> None:
    """Jobs come in the order they are due, from the offset on."""
    ids = [world.enqueue() for _ in range(5)]
    content = inspect_queue(store, "default", limit=2, offset=1)
    assert [job.id for job in content.jobs] == ids[1:3]
    assert (content.ready, content.offset) == (5, 1)
    world.redis.set(world.keys.queue("broken"), "text")
    assert inspect_queue(store, "broken", limit=5, offset=0).problem is not None


def _some_of_everything(world: World) -> None:
    world.completed()
    world.completed()
    world.dead()
    for _ in range(3):
        world.enqueue()
    first, second = world.claim(most=2)
    world.settle(first, SettleKind.RETRY, "boom", delay_ms=60_000, run_ms=30)
    assert second.id


def test_stats_come_from_the_counters(world: World, store: Store) -> None:
    """Totals, means, throughput and what runs are right after some of everything."""
    _some_of_everything(world)
    (stats,) = queue_stats(store, ["default"])
    totals = stats.totals
    assert (totals.enqueued, totals.started, totals.completed, totals.failed, totals.retried) == (
        6,
        5,
        2,
        1,
        1,
    )
    assert (stats.ready, stats.later, stats.active) == (1, 1, 1)
    assert stats.mean_run_seconds == pytest.approx(0.0225)
    assert stats.mean_wait_seconds is not None
    assert stats.oldest_ready_age_seconds is not None
    assert sum(stats.completed_per_minute) == 2
    assert len(stats.completed_per_minute) == 60
    assert stats.per_second_1m > 0
    assert stats.per_second_1h == pytest.approx(2 / 3600, rel=0.03)
    assert stats.scanned is None


def test_stats_cost_the_same_however_many_jobs(
    world: World, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands sent depend on the number of queues only."""
    sent: list[tuple[Any, ...]] = []
    ask = store.ask

    def counting(*commands: Any) -> list[Any]:
        sent.extend(commands)
        return ask(*commands)

    monkeypatch.setattr(store, "ask", counting)
    counts = []
    for _ in range(2):
        for _ in range(20):
            world.enqueue()
        sent.clear()
        queue_stats(store, ["default"])
        counts.append(len(sent))
    assert counts[0] == counts[1]
    assert not any(command[0] in ("SCAN", "KEYS", "HGETALL") for command in sent)


def test_stats_can_be_recounted(world: World, store: Store) -> None:
    """With a scan, records are counted by status."""
    _some_of_everything(world)
    (stats,) = queue_stats(store, ["default"], scan=scan_statuses(store, 0))
    assert stats.scanned == {"COMPLETED": 2, "FAILED": 1, "PENDING": 1, "RETRYING": 1, "ACTIVE": 1}


def test_strange_counters_count_as_nothing(world: World, store: Store) -> None:
    """A counter that is no number is 0, a counter key of another type is a problem."""
    world.redis.hset(world.keys.stats("default"), "completed", "many")
    world.redis.set(world.keys.stats("other"), "text")
    default, other = queue_stats(store, ["default", "other"])
    assert (default.totals.completed, default.problem) == (0, None)
    assert other.problem is not None


def test_scanning_is_bounded_and_literal(world: World, store: Store) -> None:
    """A scan stops at its bound, and a prefix with pattern characters matches itself only."""
    world.redis.set(f"{world.keys.prefix}:a*b:1", "x")
    world.redis.set(f"{world.keys.prefix}:aXb:1", "x")
    pattern = glob_escaped(f"{world.keys.prefix}:a*b:") + "*"
    assert list(scan_keys(store, pattern, 0)) == [f"{world.keys.prefix}:a*b:1"]
    world.redis.delete(f"{world.keys.prefix}:a*b:1", f"{world.keys.prefix}:aXb:1")


def test_batches_have_all_items() -> None:
    """Items are cut into lists of a size, the rest in the last."""
    assert list(batches("abcde", 2)) == [["a", "b"], ["c", "d"], ["e"]]
    assert list(batches("", 2)) == []


def test_no_more_records_are_read_than_asked(world: World, store: Store) -> None:
    """The bound holds for the records too, and what is left out is told."""
    for _ in range(40):
        world.enqueue()
    some, whole = scan_statuses(store, 5), scan_statuses(store, 0)
    assert some.looked_at <= 5
    assert not some.complete
    assert (whole.looked_at, whole.complete, whole.counts) == (40, True, {"default": {"PENDING": 40}})
