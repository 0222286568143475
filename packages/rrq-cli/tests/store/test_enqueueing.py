"""A job like another one."""

from collections.abc import Iterator
from typing import Any

import pytest

from rrq_cli.exits import CliError
from rrq_cli.params import GlobalOptions
from rrq_cli.store.client import Store, open_store
from rrq_cli.store.enqueueing import enqueue_one, replay_of
from rrq_protocol import Job
from support.cli import World


@pytest.fixture
def store(world: World) -> Iterator[Store]:
    """Return a connection to the world's keys."""
    with open_store(GlobalOptions(redis_dsn=world.url, prefix=world.keys.prefix)) as opened:
        yield opened


def test_a_replay_has_the_same_content(world: World, store: Store) -> None:
    """Function, parameters, queue and limits are those of the old job; id and unique key are not."""
    asked: dict[str, Any] = {
        "queue_name": "media", "max_retries": 7, "job_timeout_seconds": 12.5, "result_ttl_seconds": 99.0,
        "correlation_context": {"tenant": "t"},
    }  # fmt: skip
    old = world.completed("python#f", params={"n": 1, "deep": [{"x": 1.5}]}, unique_key="u", **asked)
    again = replay_of(store, old, None)
    assert again == Job("python#f", {"n": 1, "deep": [{"x": 1.5}]}, **asked)
    assert replay_of(store, old, "other").queue_name == "other"
    made = enqueue_one(store, again)
    assert (made.created, made.queue_name, made.id == old) == (True, "media", False)


def test_what_cannot_be_replayed(world: World, store: Store) -> None:
    """A job that has not ended, a broken record, parameters that are none."""
    with pytest.raises(CliError, match="has not ended, its status is PENDING"):
        replay_of(store, world.enqueue(), None)
    done = world.completed()
    world.redis.hset(world.keys.job(done), "job_params", "[1]")
    with pytest.raises(CliError, match=r"no JSON object|malformed job_params"):
        replay_of(store, done, None)
    world.hash("odd", id="odd", status="COMPLETED")
    with pytest.raises(CliError, match="malformed"):
        replay_of(store, "odd", None)


def test_an_id_that_is_taken_is_told(world: World, store: Store) -> None:
    """Another content under the same id is refused, the same content is found again."""
    assert enqueue_one(store, Job("f", job_id="j")).created
    assert not enqueue_one(store, Job("f", job_id="j")).created
    with pytest.raises(CliError, match="choose another --job-id"):
        enqueue_one(store, Job("g", job_id="j"))
