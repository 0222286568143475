"""Jobs are found by walking the indexes, and by reading all records when asked."""

import pytest

from rrq_cli.store import jobs
from rrq_cli.store.client import Store
from rrq_cli.store.jobs import JobFilter, find_jobs
from rrq_protocol import Settings
from support.cli import World


@pytest.fixture
def store(world: World) -> Store:
    """Return a store in the test's key space."""
    return Store(world.redis, Settings(key_prefix=world.keys.prefix), "test")


@pytest.fixture
def states(world: World) -> dict[str, str]:
    """Return the ids of one job in each state."""
    found = {"COMPLETED": world.completed(), "FAILED": world.dead()}
    running = world.enqueue()
    world.claim()
    return {**found, "ACTIVE": running, "PENDING": world.enqueue("rust#resize", queue_name="media")}


def test_indexes_lead_to_all_but_completed(store: Store, states: dict[str, str]) -> None:
    """Running, waiting and dead jobs are listed, in this order, without a scan."""
    found = find_jobs(store, JobFilter(), limit=20, scan=False)
    assert [job.id for job in found.jobs] == [states["ACTIVE"], states["PENDING"], states["FAILED"]]
    assert found.complete


def test_a_scan_finds_all(store: Store, states: dict[str, str]) -> None:
    """With a scan, completed jobs are found too, each once."""
    found = find_jobs(store, JobFilter(), limit=20, scan=True)
    assert sorted(job.id for job in found.jobs) == sorted(states.values())


@pytest.mark.parametrize("status", ["ACTIVE", "PENDING", "FAILED", "COMPLETED"])
def test_status_filters(store: Store, states: dict[str, str], status: str) -> None:
    """Only jobs in that state are listed."""
    found = find_jobs(store, JobFilter(status), limit=20, scan=status == "COMPLETED")
    assert [job.id for job in found.jobs] == [states[status]]


def test_queue_and_function_filter(store: Store, states: dict[str, str]) -> None:
    """A function is found with and without its runner's prefix."""
    for wanted in (JobFilter(queue="media"), JobFilter(function="rust#resize"), JobFilter(function="resize")):
        assert [job.id for job in find_jobs(store, wanted, limit=20, scan=False).jobs] == [states["PENDING"]]
    assert find_jobs(store, JobFilter(function="rust"), limit=20, scan=False).jobs == []


def test_limits_are_told(world: World, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that was cut, and a search that stopped early, say that they are not complete."""
    for _ in range(5):
        world.enqueue()
    assert find_jobs(store, JobFilter(), limit=5, scan=False).complete
    cut = find_jobs(store, JobFilter(), limit=4, scan=False)
    assert (len(cut.jobs), cut.complete) == (4, False)
    monkeypatch.setattr(jobs, "MOST_LOOKED_AT", 2)
    monkeypatch.setattr(jobs, "_PAGE", 2)
    stopped = find_jobs(store, JobFilter(function="none"), limit=4, scan=False)
    assert (stopped.jobs, stopped.looked_at, stopped.complete) == ([], 2, False)
