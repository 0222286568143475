"""The fuzz fixture: length and seed of the run from the environment, counts for the end of the session."""

import os
from pathlib import Path

import pytest
import redis

from rrq_protocol import Keyspace
from support.cli import World
from support.fuzzing import CI_COUNT, Fuzz
from support.tried import Tried

_DEFAULT_SEED = 20_260_101


@pytest.fixture
def fuzz(request: pytest.FixtureRequest, tried: Tried) -> Fuzz:
    """Return the driver for this test."""
    given = os.environ.get("RRQ_FUZZ_INPUT")
    return Fuzz(
        request.node.nodeid,
        count=int(os.environ.get("RRQ_FUZZ_COUNT") or CI_COUNT),
        seed=int(os.environ.get("RRQ_FUZZ_SEED") or _DEFAULT_SEED),
        only=bytes.fromhex(given) if given is not None else None,
        say=tried.say,
    )


@pytest.fixture
def world(redis_url: str, redis_client: "redis.Redis", keyspace: Keyspace, tmp_path: Path) -> World:
    """Return an empty key space with the command line pointed at it."""
    return World(redis_url, redis_client, keyspace, tmp_path)
