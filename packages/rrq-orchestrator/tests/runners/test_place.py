"""A process for one request at a time: up while it is used, counted, and never shared."""

import pytest

from support.runner_pools import is_gone, make_request, place

pytestmark = pytest.mark.anyio


async def test_every_restart_is_counted_and_every_process_wanted() -> None:
    """Also of those for suspects; as many are wanted as there are."""
    async with place() as (pool, isolation):
        assert (pool.runner.processes, len(pool.runner.pids())) == (2, 2)
        for number in (1, 2):
            isolation.submit(make_request(f"poison{number}", "kill"))
            await pool.loss(f"poison{number}")
            await pool.recorder.until(lambda: isolation.free == 1)
            assert pool.runner.history.restarts == number


async def test_unused_places_go_and_come_again() -> None:
    """No process is kept for suspects there are none of; the next one brings it up again."""
    async with place(linger_s=0.2) as (pool, isolation):
        await pool.recorder.until(lambda: len(pool.runner.pids()) == 1)
        await pool.recorder.until(lambda: isolation.free == 0)
        assert isolation.open(1)
        await pool.recorder.until(lambda: isolation.free == 1)
        isolation.submit(make_request("again"))
        await pool.recorder.until(lambda: "again" in pool.recorder.outcomes)


async def test_work_in_hand_keeps_the_process_up() -> None:
    """A long attempt is no absence of use; neither is one in a process that is to be replaced, whose
    successor takes no other request beside it.
    """
    async with place(linger_s=0.5, max_jobs=1) as (pool, isolation):
        isolation.submit(make_request("held", "hold"))
        pid = pool.runner.pids()[-1]
        await pool.recorder.until(lambda: len(pool.runner.pids()) == 3)
        await isolation.places[0].looks.next(3)
        assert (isolation.free, isolation.room) == (0, 0)
        assert "stopping" not in {event["after"] for event in pool.events("runner.state")}
        pool.runner.cancel("held", "job-held")
        await pool.recorder.until(lambda: is_gone(pid))
        assert pool.recorder.losses == {}
