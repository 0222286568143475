"""Every key finds its family, and no stranger does."""

import pytest

from rrq_orchestrator.audit.families import Families, pattern
from rrq_protocol import Keyspace

KEYS = Keyspace("{shop}*")


@pytest.mark.parametrize(
    ("key", "family", "name"),
    [
        (KEYS.job("a:b"), "job", "a:b"), (KEYS.queue("q"), "queue", "q"), (KEYS.active("w"), "active", "w"),
        (KEYS.dlq("d"), "dlq", "d"), (KEYS.events("j"), "events", "j"),
        (KEYS.idempotency("k"), "idempotency", "k"), (KEYS.lock_unique("k"), "unique", "k"),
        (KEYS.stats_minute("q", 5), "stats", "q:5"), (KEYS.workers, "workers", ""), (KEYS.dlqs, "dlqs", ""),
        (KEYS.quarantine, "quarantine", ""), (KEYS.lock_job("j"), "lock", "j"),
        (KEYS.rate_limit("k"), "rate_limit", "k"), (KEYS.debounce("k"), "debounce", "k"),
        (KEYS.debounced("k"), "debounced", "k"), (KEYS.rescored("q"), "rescored", "q"),
    ],
)  # fmt: skip
def test_keys_are_sorted(key: str, family: str, name: str) -> None:
    """By what they start with, whatever the prefix; the rest is the name."""
    placed = Families(KEYS).of(key)
    assert placed is not None
    assert (placed[0].name, placed[1]) == (family, name)


@pytest.mark.parametrize(
    "key", ["{shop}*:lock:other:j", "{shop}*:lock", "{shop}*:elsewhere:k", "{shop}*:job", "{shop}*:workers:x"]
)
def test_other_keys_have_no_family(key: str) -> None:
    """What only looks alike is not judged."""
    assert Families(KEYS).of(key) is None


def test_a_prefix_is_no_pattern() -> None:
    """Its characters stand for themselves."""
    assert pattern("a*?[b]^\\") == "a\\*\\?\\[b\\]\\^\\\\:*"
