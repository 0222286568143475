"""With `overlap = "prevent"` nothing of ours runs on once others may take it."""

import asyncio

import pytest
import structlog
from structlog.testing import capture_logs

from rrq_orchestrator.overlap import OverlapGuard
from rrq_protocol import SystemClock
from support.orchestrating import Bench, claimed

pytestmark = pytest.mark.anyio


class Renewals:
    """A lease that is renewed when the test says so."""

    def __init__(self) -> None:
        self.renewed_s = SystemClock().monotonic()


async def test_attempts_are_killed_just_before_the_lease_is_over(bench: Bench) -> None:
    """Not while it is renewed, and not if there are none."""
    renewals, clock = Renewals(), SystemClock()
    guard = OverlapGuard(
        renewals=renewals,
        lease_s=0.5,
        attempts=bench.dispatcher.attempts,
        runners=bench.dispatcher.runners,
        clock=clock,
        log=structlog.get_logger(),
    )
    with capture_logs() as logged:
        watching = asyncio.create_task(guard.run())
        renewals.renewed_s = clock.monotonic() - 10
        await guard.passes.next(2)
        assert logged == []
        renewals.renewed_s = clock.monotonic()
        bench.dispatcher.dispatch([claimed("j1")], "o1")
        began_s = clock.monotonic()
        while clock.monotonic() < began_s + 0.6:
            renewals.renewed_s = clock.monotonic()
            await asyncio.sleep(0.02)
        assert len(bench.dispatcher.attempts) == 1
        while len(bench.dispatcher.attempts):  # noqa: ASYNC110 - nothing else tells
            await asyncio.sleep(0.005)
        assert 0.4 < clock.monotonic() - renewals.renewed_s < 0.5
        watching.cancel()
    assert [entry["event"] for entry in logged if entry["event"] == "lease.ran_out"] == ["lease.ran_out"]
    assert bench.runner.abandoned == ["j1.1"]
