"""Runners of the first 0.9 line in a pool."""

import sys
from pathlib import Path

import pytest

import support.version_one_runner
from support.runner_pools import bench

pytestmark = pytest.mark.anyio

COMMAND = (sys.executable, "-S", str(Path(support.version_one_runner.__file__)))


@pytest.mark.parametrize("transport", ["stdio", "socket"])
async def test_a_runner_of_version_1_is_served(transport: str) -> None:
    """It gets args and kwargs, learns its address under the old names, and its errors are told."""
    config = {"cmd": COMMAND, "type": transport, "protocol_version": "1", "max_in_flight": 1}
    async with bench(config) as pool:
        await pool.ready()
        assert await pool.result("r1", args=[1, "two"], flag=True) == {
            "args": [1, "two"],
            "kwargs": {"flag": True},
        }
        pool.submit("r2", "fail", args=["on purpose"])
        await pool.recorder.until(lambda: "r2" in pool.recorder.outcomes)
        error = pool.recorder.outcomes["r2"].error
        assert error is not None
        assert (error.message, error.type) == ("on purpose", "ValueError")
        assert await pool.result("r3") == {"args": [], "kwargs": {}}
