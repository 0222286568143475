"""Waiting for the end of a job."""

import threading
from collections.abc import Iterator

import pytest

from rrq_cli.exits import CliError
from rrq_cli.params import GlobalOptions
from rrq_cli.store.client import Store, open_store
from rrq_cli.store.waiting import wait_for_end
from rrq_protocol.transitions import SettleKind
from support.cli import World


@pytest.fixture
def store(world: World) -> Iterator[Store]:
    """Return a connection to the world's keys."""
    with open_store(GlobalOptions(redis_dsn=world.url, prefix=world.keys.prefix)) as opened:
        yield opened


def test_an_end_is_heard(world: World, store: Store) -> None:
    """Whoever waits gets the job as it ended."""
    job_id = world.enqueue()
    (taken,) = world.claim()

    def end() -> None:
        world.wait_for_subscriber(job_id)
        world.settle(taken, SettleKind.COMPLETE, "7")

    thread = threading.Thread(target=end)
    thread.start()
    found = wait_for_end(store, job_id, None)
    thread.join()
    assert (found.status, found.result) == ("COMPLETED", 7)


def test_the_wait_ends_without_the_job(world: World, store: Store) -> None:
    """Time is up, the record is broken, or there is none."""
    job_id = world.enqueue()
    assert wait_for_end(store, job_id, 0).status == "PENDING"
    world.hash("odd", id="odd", status="NEW")
    assert wait_for_end(store, "odd", None).problem is not None
    with pytest.raises(CliError, match="there is no job gone"):
        wait_for_end(store, "gone", None)
