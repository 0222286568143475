"""Enqueues traced with ddtrace itself, on a real Redis."""

from rrq_protocol import Keyspace
from support.vendors import DDTRACE


def test_the_jobs_context_is_the_spans(redis_url: str, keyspace: Keyspace) -> None:
    """In W3C form too, which runners in other languages read."""
    DDTRACE.check_enqueue(redis_url, keyspace.prefix)
