"""Which orchestrators are meant, and whether they left."""

import pytest

from rrq_cli.exits import CliError
from rrq_cli.shapes import Drained
from rrq_cli.store.client import Store
from rrq_cli.store.draining import drain_one, find_orchestrators, match, wait_until_gone
from rrq_protocol import Settings
from rrq_protocol.transitions import deregister
from support.cli import World

OURS = "rrq_worker_web-1_77_" + "a" * 32
OTHER = "rrq_worker_web-2_77_" + "b" * 32


@pytest.fixture
def store(world: World) -> Store:
    """Return a store in the test's key space."""
    return Store(world.redis, Settings(key_prefix=world.keys.prefix), "test")


def test_a_name_means_one_orchestrator() -> None:
    """The id, its host and process id, or a beginning that fits one only."""
    ids = [OURS, OTHER, "w"]
    assert match("w", ids) == "w"
    assert match("web-1:77", ids) == OURS
    assert match("rrq_worker_web-2", ids) == OTHER
    with pytest.raises(CliError, match="fits 2 orchestrators"):
        match("rrq_worker", ids)
    with pytest.raises(CliError, match="there is no orchestrator x"):
        match("x", ids)


def test_all_are_those_that_live(world: World, store: Store) -> None:
    """A lapsed lease is nobody to ask."""
    world.register(OURS)
    world.register(OTHER, lease_ms=-5000)
    assert find_orchestrators(store, None) == [OURS]
    assert find_orchestrators(store, ["web-2:77", OTHER]) == [OTHER]
    assert [drain_one(store, each).result for each in (OURS, OTHER, "w")] == ["asked", "lapsed", "unknown"]


def test_leaving_is_seen(world: World, store: Store) -> None:
    """The wait ends with the lease, or with the time."""
    world.register(OURS)
    drained = [Drained(id=OURS, result="asked")]
    wait_until_gone(store, drained, 0)
    assert drained[0].gone is False
    world.run(deregister(world.keys, OURS))
    wait_until_gone(store, drained, 60)
    assert drained[0].gone is True
