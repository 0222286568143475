"""Enqueues traced with logfire itself, on a real Redis."""

from rrq_protocol import Keyspace
from support.vendors import LOGFIRE


def test_the_jobs_context_is_the_spans(redis_url: str, keyspace: Keyspace) -> None:
    """In W3C form too, which runners in other languages read."""
    LOGFIRE.check_enqueue(redis_url, keyspace.prefix)
