"""Fixtures of the orchestrator's tests."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import redis.asyncio

from rrq_protocol import Keyspace

if TYPE_CHECKING:
    from support.orchestrating import Bench


@pytest.fixture
async def bench(redis_url: str, keyspace: Keyspace, aredis: redis.asyncio.Redis) -> AsyncIterator["Bench"]:
    """Serve a dispatcher, a settler and a stand-in runner on the session's Redis."""
    from support.orchestrating import Bench

    made = Bench(redis_url, keyspace, aredis)
    yield made
    await made.aclose()
