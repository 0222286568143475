"""A deadline calls back when it passed, may be asked again, and forgives time in which we did not run."""

import time

import anyio
import pytest

from rrq_orchestrator.runners.watchdog import Watchdog

pytestmark = pytest.mark.anyio


async def test_it_fires_once_unless_asked_again() -> None:
    """Returning True arms it again, False does not."""
    fired: list[float] = []
    twice = anyio.Event()

    def overdue() -> bool:
        fired.append(anyio.current_time())
        if len(fired) == 2:
            twice.set()
        return len(fired) < 2

    watchdog = Watchdog(0.02, overdue)
    watchdog.arm()
    watchdog.arm()
    with anyio.fail_after(5):
        await twice.wait()
    assert not watchdog.armed
    assert fired[1] - fired[0] >= 0.019


async def test_disarmed_it_is_silent() -> None:
    """A disarmed deadline does not call; disarming twice is harmless."""
    fired: list[bool] = []

    def overdue() -> bool:
        fired.append(True)
        return False

    watchdog = Watchdog(0.01, overdue)
    watchdog.arm()
    watchdog.disarm()
    watchdog.disarm()
    await anyio.sleep(0.03)
    assert fired == []


async def test_time_in_which_we_did_not_run_does_not_count() -> None:
    """A timer that comes very late gives the peer another moment first."""
    fired = anyio.Event()

    def overdue() -> bool:
        fired.set()
        return False

    watchdog = Watchdog(0.05, overdue)
    watchdog.arm()
    time.sleep(1.1)  # noqa: ASYNC251  # as if this process had been stopped
    await anyio.lowlevel.checkpoint()
    await anyio.lowlevel.checkpoint()
    assert not fired.is_set()
    with anyio.fail_after(5):
        await fired.wait()
