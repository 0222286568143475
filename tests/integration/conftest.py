"""Integration tests run against a container where an engine answers, so that they meet a Redis as it is
deployed.
"""

from collections.abc import Iterator

import pytest

from support.redis_choice import for_integration, serving
from support.redis_servers import RedisServer


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Serve the Redis of the session's integration tests; whoever stops it starts it again."""
    yield from serving(for_integration().shared())


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """Serve a Redis for this test alone, with an append-only file: stop it, kill it, start it again."""
    yield from serving(for_integration().own())
