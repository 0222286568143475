"""Programs of earlier versions in a folder of their own, with a key space of their own."""

from pathlib import Path

import pytest
import redis

from rrq_protocol import Keyspace
from support.earlier import Shop


@pytest.fixture
def shop(redis_url: str, redis_client: "redis.Redis", keyspace: Keyspace, tmp_path: Path) -> Shop:
    """Return an empty folder, and what runs commands in it."""
    return Shop(redis_url, redis_client, keyspace, tmp_path)
