"""What the transcripts start from."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import redis

from rrq_protocol import Keyspace
from support.cli import World
from support.transcripts.stored import fill


@pytest.fixture
def stored(redis_url: str, redis_client: "redis.Redis", keyspace: Keyspace) -> Iterator[World]:
    """Serve the stored system, with the command line pointed at it."""
    # Its name is as long in every run, as lines are folded by it.
    with TemporaryDirectory(prefix="rrq-", dir="/tmp") as folder:
        world = World(redis_url, redis_client, keyspace, Path(folder).resolve())
        fill(world)
        yield world
