"""Integration tests run against a container where an engine answers, so that they meet a Redis as it is
deployed.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from support.redis_choice import for_integration, serving
from support.redis_servers import RedisServer

if TYPE_CHECKING:
    from rrq_protocol import Keyspace
    from support.road import Road


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Serve the Redis of the session's integration tests; whoever stops it starts it again."""
    yield from serving(for_integration().shared())


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """Serve a Redis for this test alone, with an append-only file: stop it, kill it, start it again."""
    yield from serving(for_integration().own())


@pytest.fixture
def road(redis_url: str, keyspace: "Keyspace") -> Iterator["Road"]:
    """Serve a folder to run everything in. At the end the key-space auditor looks at what is stored, and no
    process and no socket may be left.
    """
    from support.road import Road

    with Road(redis_url, keyspace) as road:
        yield road
        road.assert_nothing_left()


@pytest.fixture
def own_road(own_redis: RedisServer) -> Iterator["Road"]:
    """Serve the same on a Redis of the test's own."""
    from rrq_protocol import Keyspace
    from support.road import Road

    with Road(own_redis.url, Keyspace("rrq")) as road:
        yield road
        road.assert_nothing_left()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what became of each scenario in each language."""
    from support.scenarios import table

    if lines := table():
        terminalreporter.section("scenarios by language")
        terminalreporter.write_line("\n".join(lines))
