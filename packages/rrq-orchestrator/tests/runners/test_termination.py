"""Ending a process: asked first, killed then, with everything in its group."""

import os
import sys

import anyio
import pytest

from rrq_orchestrator.runners.process import RunnerProcess, start_process
from rrq_orchestrator.runners.termination import kill, terminate
from support.runner_pools import PATIENCE_S, bench, fake_command, is_gone

pytestmark = pytest.mark.anyio

SLEEP = "import time; print(flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"


async def started(code: str) -> RunnerProcess:
    """Start Python code and wait for its first byte."""
    process = start_process([sys.executable, "-S", "-c", code], lambda _: dict(os.environ))
    assert process.stdout is not None
    await anyio.wait_readable(process.stdout)
    return process


async def test_sigterm_is_enough_for_the_willing() -> None:
    """A process that obeys ends at once, whatever the grace."""
    process = await started(SLEEP)
    with anyio.fail_after(PATIENCE_S):
        assert await terminate(process, grace_s=600)
    assert process.returncode == -15
    process.close()


async def test_the_stubborn_are_killed_after_the_grace() -> None:
    """A process that ignores SIGTERM is killed (F75)."""
    process = await started(STUBBORN)
    started_at = anyio.current_time()
    assert await terminate(process, grace_s=0.2)
    assert anyio.current_time() - started_at >= 0.19
    assert process.returncode == -9
    assert is_gone(process.pid)
    process.close()


async def test_killing_twice_is_harmless() -> None:
    """A process that is gone can be ended again."""
    process = await started(SLEEP)
    assert await kill(process)
    assert await kill(process)
    assert await terminate(process, grace_s=1)
    process.close()


@pytest.mark.parametrize("end", ["stop", "cancel", "crash", "quarantine", "recycle"])
async def test_what_a_handler_left_running_goes_with_its_process(end: str) -> None:
    """However the process ends: a child that ignores SIGTERM, one in a session of its own, and an orphan
    (F22)."""
    async with bench({"cmd": fake_command("serve")}) as pool:
        await pool.ready()
        left = [await pool.result("child", "child"), *await pool.result("family", "family")]
        assert not any(map(is_gone, left))
        if end == "stop":
            await pool.runner.stop()
            assert all(map(is_gone, left))
        elif end == "crash":
            pool.submit("poison", "exit", code=1)
            await pool.loss("poison")
        elif end == "quarantine":
            pool.submit("stuck", "block")
            pool.runner.quarantine("stuck")
        elif end == "recycle":
            pool.runner.recycle()
        if end != "cancel":
            await pool.recorder.until(lambda: all(map(is_gone, left)))
    assert all(map(is_gone, left))
