"""What every test of the command line starts from."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from rrq_protocol import Keyspace
from support.cli import World


@pytest.fixture
def world(redis_url: str, redis_client: "redis.Redis", keyspace: Keyspace, tmp_path: Path) -> World:
    """Return an empty key space with the command line pointed at it."""
    return World(redis_url, redis_client, keyspace, tmp_path)


@pytest.fixture
def shown_at_80() -> Callable[..., str]:
    """Return a function that calls a view and returns its 80 columns, without spaces at line ends."""
    from rich.console import Console

    def show(view: Callable[..., None], *values: object) -> str:
        out = io.StringIO()
        view(Console(file=out, width=80, markup=False, emoji=False, highlight=False), *values)
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"

    return show
