"""Fixtures of the embedded server's tests."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """Serve a path for a server, short enough for a socket; a server there is stopped afterwards."""
    from rrq_orchestrator.embedded import stop

    parent = Path(tempfile.mkdtemp(prefix="rrq-test-", dir="/tmp"))
    yield parent / ".rrq"
    stop(parent / ".rrq")
    shutil.rmtree(parent)
