"""Clearing away what was generated, and nothing else."""

from collections.abc import Iterator

import pytest

from rrq_cli.params import GlobalOptions
from rrq_cli.store.clearing import clear, count_matching
from rrq_cli.store.client import Store, open_store
from support.cli import World


@pytest.fixture
def store(world: World) -> Iterator[Store]:
    """Return a connection to the world's keys."""
    with open_store(GlobalOptions(redis_dsn=world.url, prefix=world.keys.prefix)) as opened:
        yield opened


def test_only_what_matches_goes(world: World, store: Store) -> None:
    """Waiting and ended jobs with such an id go with their entries; running ones and others stay."""
    kept = world.enqueue(job_id="real")
    world.enqueue(job_id="test_waiting", queue_name="media")
    world.dead(job_id="test_dead", queue_name="dead")
    world.enqueue(job_id="test_running", queue_name="run")
    world.claim("run")
    world.redis.hset(world.keys.job("test_\n"), "id", "x")
    world.register("test_worker_1")
    assert count_matching(store, "test_*") == 4
    done = clear(store, "test_*")
    assert (done.results, done.orchestrators) == ({"ok": 2, "busy": 1}, 1)
    left = {world.keys.job(name).encode() for name in (kept, "test_running", "test_\n")}
    assert set(world.redis.keys(world.keys.job("*"))) == left
    assert world.redis.llen(world.keys.dlq("default")) == 0
    assert world.redis.zscore(world.keys.workers, "test_worker_1") is None
