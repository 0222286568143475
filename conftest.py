"""Fixtures and settings of all tests: a real Redis, a key space per test, a repeatable seed.

Environment: `RRQ_TEST_REDIS_URL` and `RRQ_TEST_REDIS_IMAGE` name a server or an image
(tests/support/redis_choice.py), `RRQ_TEST_SEED` repeats a run's random choices, `RRQ_TEST_STRICT=1` fails the
run when the container was not to be had or a test was skipped (CI sets it).
"""

import os
import random
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
import redis
import redis.asyncio

from support.redis_choice import STRICT, NoRedis, for_integration, for_most, serving
from support.redis_servers import RedisServer
from support.tried import Tried

if TYPE_CHECKING:
    from rrq_protocol import Keyspace

ROOT = Path(__file__).parent
INTEGRATION = ROOT / "tests" / "integration"
SEED = int(os.environ.get("RRQ_TEST_SEED") or secrets.randbelow(2**31))

_tried = pytest.StashKey[Tried]()

# The machine's speed is not what these tests are about, so no example has a deadline. The run's seed repeats
# what failed, so nothing is kept.
hypothesis.settings.register_profile("rrq", deadline=None, database=None, print_blob=True)
hypothesis.settings.load_profile("rrq")


def _runs_integration(config: pytest.Config) -> bool:
    chosen = [Path(config.invocation_params.dir, name.partition("::")[0]).resolve() for name in config.args]
    return any(
        path == INTEGRATION or path in INTEGRATION.parents or INTEGRATION in path.parents for path in chosen
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer how many jobs the scenarios in several languages, and the mixed fleet, have."""
    parser.addoption("--count", type=int, metavar="N", help="jobs per scenario of tests/integration")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let Hypothesis draw from the run's seed too, unless it was given one of its own, and keep its notes out
    of the tree.
    """
    if (count := config.getoption("count", None)) is not None:
        os.environ["RRQ_TEST_COUNT"] = str(count)
    if config.getoption("hypothesis_seed", None) is None:
        config.option.hypothesis_seed = SEED
    if "HYPOTHESIS_STORAGE_DIRECTORY" not in os.environ:
        notes = tempfile.TemporaryDirectory(prefix="rrq-hypothesis-")
        config.add_cleanup(notes.cleanup)
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = notes.name


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which Redis is used and why, and how to repeat this run's random choices."""
    try:
        line = f"redis: {for_most()}"
        if _runs_integration(config):
            line += f"; tests/integration: {for_integration()}"
    except NoRedis as error:
        raise pytest.UsageError(str(error)) from error
    return [line, f"seed: {SEED} (RRQ_TEST_SEED={SEED} repeats it)"]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a strict run in which a test was skipped: a check that was meant did not happen."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not STRICT or reporter is None:
        return
    skipped = reporter.stats.get("skipped", [])
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"\nRRQ_TEST_STRICT is set and {len(skipped)} tests were skipped", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was tried, and with which seed."""
    if lines := config.stash.get(_tried, Tried()).lines(SEED):
        terminalreporter.section("what was tried")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Tried:
    """Take what a test tried, in numbers; printed when the run is over."""
    return request.config.stash.setdefault(_tried, Tried())


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Serve the session's Redis; whoever stops it starts it again. Other tests' keys are there too, under
    other prefixes.
    """
    yield from serving(for_most().shared())


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """Serve a Redis for this test alone, with an append-only file: stop it, kill it, start it again."""
    yield from serving(for_most().own())


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Return the URL of the session's Redis."""
    return redis_server.url


@pytest.fixture
def redis_client(redis_url: str) -> Iterator["redis.Redis"]:
    """Serve a blocking client that answers in bytes."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def aredis(redis_url: str, anyio_backend: str) -> AsyncIterator["redis.asyncio.Redis"]:
    """Serve an async client that answers in bytes."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def keyspace(redis_client: "redis.Redis") -> Iterator["Keyspace"]:
    """Serve a key space of this test's own; its keys are deleted afterwards."""
    # Not above: a wheel that cannot be imported must fail the tests that use it, and not all of them.
    from rrq_protocol import Keyspace

    prefix = f"rrq-test-{secrets.token_hex(6)}"
    print(f"key prefix: {prefix}")
    yield Keyspace(prefix=prefix)
    for key in redis_client.scan_iter(match=f"{prefix}:*", count=1000):
        redis_client.unlink(key)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Return a random source that depends on the run's seed and the test's name only."""
    return random.Random(f"{SEED}:{request.node.nodeid}")


@pytest.fixture
def anyio_backend() -> str:
    """Return the event loop that async tests run on."""
    return "asyncio"
