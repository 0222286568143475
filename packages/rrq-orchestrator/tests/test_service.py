"""Waiting for passes instead of sleeping."""

import asyncio

import pytest

from rrq_orchestrator.service import PassSignal

pytestmark = pytest.mark.anyio


async def test_a_waiter_returns_after_as_many_further_passes_as_it_asked_for() -> None:
    """Passes before the wait do not count."""
    signal = PassSignal()
    signal.done()
    waiting = asyncio.create_task(signal.next(2))
    await asyncio.sleep(0)
    signal.done()
    await asyncio.sleep(0)
    assert not waiting.done()
    signal.done()
    await waiting
    assert signal.count == 3


async def test_a_cancelled_waiter_is_dropped() -> None:
    """A test that gave up does not disturb the service."""
    signal = PassSignal()
    waiting = asyncio.create_task(signal.next())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    signal.done()
    assert signal.count == 1
