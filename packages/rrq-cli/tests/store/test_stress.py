"""Enqueueing at a rate."""

import pytest

from rrq_cli.store.client import Store
from rrq_cli.store.queues import inspect_queue
from rrq_cli.store.stress import Load, due_now, percentile, stress
from rrq_protocol import Settings
from support.cli import World

LOAD = Load("f", 100.0, 2.0, ["a", "b"])


@pytest.mark.parametrize(
    ("elapsed_s", "sent", "count"), [(0.0, 0, 0), (0.5, 0, 50), (0.5, 60, 0), (9.0, 150, 50), (9.0, 200, 0)]
)
def test_the_rate_is_kept(elapsed_s: float, sent: int, count: int) -> None:
    """As many as are due by now, never more than the whole."""
    assert due_now(LOAD, elapsed_s, sent) == count


def test_one_call_has_a_bound() -> None:
    """A rate beyond all means is cut into calls."""
    assert due_now(Load("f", 1e6, 60.0, ["a"]), 1.0, 0) == 500


def test_percentiles() -> None:
    """The value so many do not exceed; none of nothing."""
    assert percentile([], 0.5) is None
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([*map(float, range(100))], 0.99) == 99.0


def test_all_are_enqueued_in_turn(world: World) -> None:
    """The queues get equal shares, of the size asked for."""
    store = Store(world.redis, Settings(key_prefix=world.keys.prefix), "test")
    steps: list[float] = []
    done = stress(store, Load("f", 200.0, 0.2, ["a", "b"], 50), wait_s=0, progress=steps.append)
    assert (done.enqueued, sum(steps), done.ended) == (40, 40, 0)
    assert [world.redis.zcard(world.keys.queue(name)) for name in "ab"] == [20, 20]
    assert done.call_ms_p50 is not None
    (row,) = inspect_queue(store, "a", limit=1, offset=0).jobs
    params = world.redis.hget(world.keys.job(row.id), "job_params")
    assert isinstance(params, bytes)
    assert b"x" * 50 in params
