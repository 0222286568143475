"""Which keys there are, by what they start with, and what type each must have."""

from collections.abc import Mapping

import msgspec

from rrq_protocol import Keyspace

__all__ = ["Families", "Family", "pattern"]


class Family(msgspec.Struct, frozen=True):
    """Keys of one kind: their name here, what they start with, and their type."""

    name: str
    start: str
    kind: str


class Families:
    """The families of a keyspace; what only producers use (rate limits, debounces) is none of them."""

    def __init__(self, keyspace: Keyspace) -> None:
        prefix = f"{keyspace.prefix}:"
        members = (
            Family("job", keyspace.job(""), "hash"),
            Family("queue", keyspace.queue(""), "zset"),
            Family("active", keyspace.active(""), "zset"),
            Family("dlq", keyspace.dlq(""), "list"),
            Family("events", keyspace.events(""), "stream"),
            Family("idempotency", keyspace.idempotency(""), "string"),
            Family("unique", keyspace.lock_unique(""), "string"),
            Family("stats", keyspace.stats(""), "hash"),
            Family("health", keyspace.health(""), "string"),
            Family("control", keyspace.control(""), "list"),
            Family("wake", keyspace.wake(""), "list"),
            Family("cron", keyspace.cron(""), "hash"),
            Family("workers", keyspace.workers, "zset"),
            Family("reaping", keyspace.reaping, "zset"),
            Family("quarantine", keyspace.quarantine, "list"),
            Family("epoch", keyspace.epoch, "hash"),
            Family("queues", keyspace.queues, "set"),
            Family("dlqs", keyspace.dlqs, "set"),
            Family("paused", keyspace.paused, "set"),
        )
        self._prefix = prefix
        # By the first word behind the prefix; no two families share one but for `lock:`.
        self._by_word: Mapping[str, Family] = {
            family.start[len(prefix) :].partition(":")[0]: family for family in members
        }

    def of(self, key: str) -> tuple[Family, str] | None:
        """Return the family of a key and the name that follows its start; None for any other key."""
        family = self._by_word.get(key[len(self._prefix) :].partition(":")[0])
        if family is None:
            return None
        if family.start.endswith(":"):
            return (family, key[len(family.start) :]) if key.startswith(family.start) else None
        return (family, "") if key == family.start else None


def pattern(prefix: str) -> str:
    """Return the SCAN pattern of all keys under a prefix, whatever characters it has."""
    return "".join(f"\\{char}" if char in "*?[]^\\" else char for char in prefix) + ":*"
