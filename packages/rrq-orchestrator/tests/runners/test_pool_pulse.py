"""Processes that stand still: what a pool does about them (F74)."""

from pathlib import Path

import anyio
import pytest

from rrq_orchestrator.runners import LostCause, NoCapacity
from support.runner_pools import bench, fake_command, is_gone

pytestmark = pytest.mark.anyio


async def test_a_process_that_stands_still_gets_nothing_until_it_answers(tmp_path: Path) -> None:
    """One that takes part in pings is told of, gets no new requests, and takes its place again (F74)."""
    gate = tmp_path / "gate"
    command = fake_command("hello=4", "--ping")
    async with bench({"cmd": command, "max_in_flight": 4}, runner_unresponsive_seconds=0.2) as pool:
        await pool.recorder.until(lambda: pool.events("runner.hello"))
        pool.submit("stall", "stall", path=str(gate))
        pool.submit("neighbour")
        await pool.recorder.until(lambda: pool.runner.capacity == 0)
        (event,) = pool.events("runner.unresponsive")
        assert (event["in_flight"], event["requests"], event["slot"]) == (2, ["stall", "neighbour"], 0)
        assert event["pid"] in pool.runner.pids()
        with pytest.raises(NoCapacity):
            pool.submit("third")
        gate.touch()
        await pool.recorder.until(lambda: pool.runner.free == 4)
        assert set(pool.recorder.outcomes) == {"stall", "neighbour"}
        assert len(pool.events("runner.responsive")) == 1
        assert await pool.result("third", text="x") == {"text": "x"}


async def test_requests_that_stood_still_are_lost_as_blocked(tmp_path: Path) -> None:
    """Giving up on one of them says so, and ends the process at once: none of them can finish (F74)."""
    command = fake_command("hello=4", "--ping")
    async with bench(
        {"cmd": command, "max_in_flight": 4},
        runner_unresponsive_seconds=30,
        worker_shutdown_grace_period_seconds=60,
    ) as pool:
        await pool.recorder.until(lambda: pool.events("runner.hello"))
        (old,) = pool.runner.pids()
        pool.submit("stall", "stall", path=str(tmp_path / "never"))
        pool.submit("neighbour")
        pool.runner.cancel("neighbour", "job-neighbour")  # asks for a sign of life, too
        await anyio.sleep(0.3)
        assert pool.runner.quarantine("neighbour")
        assert pool.recorder.losses["stall"] == (LostCause.BLOCKED, "the runner process did nothing any more")
        await pool.recorder.until(lambda: pool.runner.free == 4 and is_gone(old))
        assert pool.recorder.outcomes == {}


async def test_a_request_that_is_alone_may_keep_its_process_busy(tmp_path: Path) -> None:
    """Where processes take one request each nobody is asked for a sign of life."""
    gate = tmp_path / "gate"
    command = fake_command("hello=4", "--ping")
    async with bench({"cmd": command, "max_in_flight": 1}, runner_unresponsive_seconds=0.05) as pool:
        await pool.ready()
        pool.submit("stall", "stall", path=str(gate))
        await anyio.sleep(1.5)
        assert pool.events("runner.unresponsive") == []
        gate.touch()
        await pool.recorder.until(lambda: "stall" in pool.recorder.outcomes)


async def test_nobody_gets_the_slot_of_a_request_that_was_given_up() -> None:
    """Whoever fills slots as soon as he hears of a change finds none in that process."""
    async with bench({"max_in_flight": 1}) as pool:
        await pool.ready()
        pool.submit("stuck", "hold")
        free: list[int] = []
        pool.recorder.touch = lambda: free.append(pool.runner.free)  # type: ignore[method-assign]
        pool.runner.quarantine("stuck")
        assert free
        assert set(free) == {0}
