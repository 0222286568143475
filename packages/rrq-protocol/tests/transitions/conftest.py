"""Transitions over a key space of the test's own, audited when the test is over."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from support.transitions import Transitions

if TYPE_CHECKING:
    import redis

    from rrq_protocol import Keyspace


@pytest.fixture
def t(redis_client: "redis.Redis", keyspace: "Keyspace") -> Iterator[Transitions]:
    """Serve the transitions; afterwards every invariant must hold."""
    transitions = Transitions(redis_client, keyspace)
    yield transitions
    assert transitions.audit() == ()


@pytest.fixture
def damaged(redis_client: "redis.Redis", keyspace: "Keyspace") -> Transitions:
    """Return the transitions for a test that breaks keys itself, so that no invariant can be asked for."""
    return Transitions(redis_client, keyspace)
