"""Generated jobs are as real ones are."""

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from rrq_cli.exits import CliError
from rrq_cli.params import GlobalOptions
from rrq_cli.store.client import Store, open_store
from rrq_cli.store.dead_letters import list_dead
from rrq_cli.store.generating import STATUSES, Plan, fake_orchestrators, generate
from rrq_cli.store.jobs import JobFilter, find_jobs
from rrq_cli.store.orchestrators import list_orchestrators
from rrq_cli.store.queues import queue_names, queue_stats
from support.audit import audit
from support.cli import World


@pytest.fixture
def store(world: World) -> Iterator[Store]:
    """Return a connection to the world's keys."""
    with open_store(GlobalOptions(redis_dsn=world.url, prefix=world.keys.prefix)) as opened:
        yield opened


def plan(**more: Any) -> Plan:
    known: dict[str, Any] = {
        "count": 150,
        "queues": ["a", "b"],
        "statuses": STATUSES,
        "age_s": 7200.0,
        "batch_size": 7,
    }
    return Plan(**{**known, **more})


def test_every_status_in_every_queue(world: World, store: Store) -> None:
    """As many as asked, counted where they belong, and every invariant of the key space holds."""
    steps: list[float] = []
    made = generate(store, plan(), Random(1), steps.append)
    assert sum(made.jobs.values()) == sum(steps) == 150
    assert set(made.jobs) == set(STATUSES)
    rows = find_jobs(store, JobFilter(), limit=1000, scan=True).jobs
    assert len(rows) == 150
    assert all(row.problem is None and row.id.startswith("test_") for row in rows)
    assert {row.queue_name for row in rows} == {"a", "b"}
    assert queue_names(store) == ["a", "b", "default"]
    stats = queue_stats(store, ["a", "b"])
    assert sum(each.totals.enqueued for each in stats) == 150
    assert sum(each.totals.completed for each in stats) == made.jobs["completed"]
    assert sum(sum(each.completed_per_hour) for each in stats) == made.jobs["completed"]
    assert sum(each.waiting for each in stats) == sum(made.jobs[each] for each in STATUSES[:3])
    assert world.redis.llen(world.keys.dlq("default")) == made.jobs["failed"]
    assert list_orchestrators(store) == []
    assert audit(world.redis, world.keys, conserved=True) == ()


def test_a_seed_makes_the_same_choices(world: World, store: Store) -> None:
    """Two runs with one seed differ in ids and times only."""
    first, second = (generate(store, plan(count=40), Random(7)) for _ in range(2))
    assert first == second


def test_dead_letters_lie_in_the_order_they_failed_in(world: World, store: Store) -> None:
    """The newest first is the latest to fail, as with real ones."""
    generate(store, plan(count=100, statuses=["failed"]), Random(3))
    found = list_dead(store, ["default"], lambda row: True, limit=100, offset=0, batch_size=100).jobs
    ends = [row.finished_at for row in found if row.finished_at is not None]
    assert len(ends) == 100
    assert ends == sorted(ends, reverse=True)
    assert ends[0] > ends[-1]


def test_a_queue_that_is_none_is_told(world: World, store: Store) -> None:
    """Nothing is written over a key of another type."""
    world.redis.set(world.keys.queue("odd"), "x")
    with pytest.raises(CliError, match="rrq doctor"):
        generate(store, plan(queues=["odd"], statuses=["pending"]), Random(1))


def test_fake_orchestrators_live_as_long_as_the_block(world: World, store: Store) -> None:
    """They have leases that beats renew, one that was taken too, and leave nothing behind."""
    with fake_orchestrators(store, 3, ["a"]) as beat:
        found = list_orchestrators(store)
        assert [(each.state, each.queues) for each in found] == [("live", ["a"])] * 3
        world.redis.zrem(world.keys.workers, found[0].id)
        beat()
        assert len(list_orchestrators(store)) == 3
    assert world.redis.keys(f"{world.keys.prefix}:*") == [world.keys.epoch.encode()]
