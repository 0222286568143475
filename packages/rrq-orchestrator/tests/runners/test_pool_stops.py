"""A stop waits for none whose end would change nothing."""

import os
import signal

import anyio
import pytest

from support.runner_pools import PATIENCE_S, bench, fake_command, is_gone

pytestmark = pytest.mark.anyio


async def test_a_stop_waits_for_no_process_that_was_given_up() -> None:
    """One whose only request was given up is being replaced, and has long to end: the stop kills it."""
    async with bench(
        {"cmd": fake_command("stubborn")}, runner_shutdown_term_grace_seconds=10 * PATIENCE_S
    ) as pool:
        await pool.ready()
        (old,) = pool.runner.pids()
        pool.submit("stuck", "hold")
        pool.runner.quarantine("stuck")
        await pool.recorder.until(lambda: bool(pool.runner.capacity) and pool.runner.pids() != [old])
        for pid in pool.runner.pids():
            if pid != old:
                os.kill(pid, signal.SIGKILL)
        with anyio.fail_after(PATIENCE_S):
            await pool.runner.stop()
        assert is_gone(old)
