"""Job hashes become rows and details, however broken they are."""

from datetime import UTC, datetime

import pytest

from rrq_cli.exits import CliError
from rrq_cli.store.client import Store
from rrq_cli.store.records import read_detail, read_hash, read_rows, row, time_of
from rrq_protocol import InvalidName, Keyspace, Settings
from support.cli import World


@pytest.fixture
def store(world: World) -> Store:
    """Return a store in the test's key space."""
    return Store(world.redis, Settings(key_prefix=world.keys.prefix), "test")


def test_a_good_record_is_a_row(world: World, store: Store) -> None:
    """All that lists show is in the row, the queue by its bare name."""
    job_id = world.enqueue("f", queue_name="q")
    (found,) = read_rows(store, [job_id])
    assert (found.id, found.status) == (job_id, "PENDING")
    assert (found.function_name, found.queue_name) == ("f", "q")
    assert (found.attempts, found.max_attempts, found.problem) == (0, 3, None)
    assert found.due_at is not None


def test_every_kind_of_breakage_is_named(world: World, store: Store) -> None:
    """Missing, wrong-typed, malformed and mislabelled records say what is wrong; good ones are unaffected."""
    world.redis.set(world.keys.job("text"), "x")
    queue = world.keys.queue("q")
    world.hash("malformed", id="malformed", status="PENDING", function_name="f", queue_name=queue)
    world.enqueue(job_id="other")
    world.redis.rename(world.keys.job("other"), world.keys.job("renamed"))
    good = world.enqueue()
    rows = read_rows(store, ["gone", "text", "malformed", "renamed", good])
    assert [each.problem for each in rows] == [
        "there is no record of this job any more",
        "the key has the wrong type; expected a hash",
        "malformed job_params: missing",
        "the record names another id: other",
        None,
    ]
    assert (rows[2].status, rows[2].function_name, rows[2].queue_name) == ("PENDING", "f", "q")


def test_bytes_that_are_no_text_are_shown() -> None:
    """A field that is not UTF-8 is named, and the others are still readable."""
    found = row(Keyspace(), "j", {b"id": b"j", b"status": b"\xff", b"function_name": b"f"})
    assert found.problem is not None
    assert (found.status, found.function_name) == ("\\xff", "f")


def test_details_have_everything(world: World, store: Store) -> None:
    """Parameters and result are decoded; the log of attempts, the time to live and the fields are there."""
    done = read_detail(store, world.completed("f", {"a": 1}, params={"x": [1]}))
    assert (done.params, done.result, done.status) == ({"x": [1]}, {"a": 1}, "COMPLETED")
    assert done.expires_in_seconds is not None
    assert 3590 < done.expires_in_seconds <= 3600
    assert done.fields["result"] == '{"a": 1}'
    dead = read_detail(store, world.dead("boom"))
    assert (dead.dlq_name, dead.failed_attempts[0]["message"]) == ("default", "boom")


def test_what_is_no_json_stays_text(world: World, store: Store) -> None:
    """Parameters that somebody mangled are shown as they are."""
    job_id = world.enqueue()
    world.redis.hset(world.keys.job(job_id), "job_params", "{broken")
    assert read_detail(store, job_id).params == "{broken"


def test_a_missing_job_is_an_error(world: World, store: Store) -> None:
    """Asking for a job that is not there, or whose id no job can have, says so."""
    with pytest.raises(CliError, match="there is no job gone"):
        read_hash(store, "gone")
    with pytest.raises(InvalidName):
        read_hash(store, "no id")
    world.redis.set(world.keys.job("text"), "x")
    with pytest.raises(CliError, match="expected a hash"):
        read_hash(store, "text")


def test_impossible_times_are_none() -> None:
    """A time no calendar has is not shown, and breaks nothing."""
    assert time_of(0) == datetime(1970, 1, 1, tzinfo=UTC)
    assert time_of(None) is time_of(1e300) is time_of(float("nan")) is None
