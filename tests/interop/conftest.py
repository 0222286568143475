"""The public line, made ready once per session, and a Redis that both lines share."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from support.interop.peers import Peers, Unavailable, crates, find_cargo, wanted, wheel
from support.redis_choice import for_most, serving
from support.redis_servers import RedisServer

if TYPE_CHECKING:
    from support.interop.site import Site

HERE = "tests/interop/"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these tests out where nobody asked for them, and those of the crates where there is no cargo for
    them; one line says so.
    """
    mine = [item for item in items if item.nodeid.startswith(HERE)]
    left_out, why = [], ""
    if not wanted(os.environ):
        left_out, why = mine, "RRQ_TEST_INTEROP=1 runs them"
    elif rust := [item for item in mine if "crate" in item.name]:
        try:
            find_cargo()
        except Unavailable as error:
            left_out, why = rust, str(error)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(f"{HERE}: {len(left_out)} tests left out: {why}")


@pytest.fixture(scope="session")
def peers(request: pytest.FixtureRequest) -> Iterator[Peers]:
    """Return where the public line is. The crates are built while the tests that need none of them run."""
    needed = any("crate" in item.name for item in request.session.items)
    with ThreadPoolExecutor(1) as pool:
        yield Peers(wheel(), pool.submit(crates) if needed else None)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Serve a Redis for these tests alone: the public line has but one key prefix."""
    yield from serving(for_most().own(append_only=False))


@pytest.fixture(scope="module")
def site(redis_server: RedisServer, peers: Peers) -> Iterator["Site"]:
    """Serve an empty Redis, and a folder for both lines."""
    from support.interop.site import Site

    with Site(redis_server.url, peers) as site:
        yield site
