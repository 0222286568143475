"""Which keys there are, by what they start with, and what type each must have."""

import msgspec

from rrq_protocol import Keyspace

__all__ = ["Families", "Family", "pattern"]


class Family(msgspec.Struct, frozen=True):
    """Keys of one kind: their name here, what they start with, and their type."""

    name: str
    start: str
    kind: str


class Families:
    """The families of a keyspace."""

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
            Family("lock", keyspace.lock_job(""), "string"),
            Family("rate_limit", keyspace.rate_limit(""), "string"),
            Family("debounce", keyspace.debounce(""), "string"),
            Family("debounced", keyspace.debounced(""), "string"),
            Family("rescored", keyspace.rescored(""), "string"),
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
        # By the first word behind the prefix; no two families share one but for `lock`.
        self._by_word: dict[str, list[Family]] = {}
        for family in members:
            self._by_word.setdefault(family.start[len(prefix) :].partition(":")[0], []).append(family)

    def of(self, key: str) -> tuple[Family, str] | None:
        """Return the family of a key and the name that follows its start; None for any other key."""
        for family in self._by_word.get(key[len(self._prefix) :].partition(":")[0], ()):
            if family.start.endswith(":") and key.startswith(family.start):
                return family, key[len(family.start) :]
            if key == family.start and not family.start.endswith(":"):
                return family, ""
        return None


def pattern(prefix: str) -> str:
    """Return the SCAN pattern of all keys under a prefix, whatever characters it has."""
    return "".join(f"\\{char}" if char in "*?[]^\\" else char for char in prefix) + ":*"
