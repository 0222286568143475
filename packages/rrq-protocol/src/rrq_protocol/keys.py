"""Every Redis key RRQ uses, under one configurable prefix (REDIS_SCHEMA.md *Keys*).

This is the only module that knows how a key is spelled. Scripts that find ids inside Redis get the prefix as
an argument and follow the same spelling; their headers say so. With a hash tag as prefix (``{rrq}``) all keys
of a keyspace share one slot, which makes it safe on a cluster (RELIABILITY.md 6.10).
"""

import msgspec

from rrq_protocol.errors import InvalidName

__all__ = ["DEFAULT_PREFIX", "Keyspace"]

DEFAULT_PREFIX = "rrq"
_MAX_PREFIX_LENGTH = 64
_PREFIX_RULE = f"1 to {_MAX_PREFIX_LENGTH} printable characters without white space"


class Keyspace(msgspec.Struct, frozen=True):
    """The keys of one RRQ installation.

    Attributes:
        prefix: What every key starts with, without the colon that follows it.

    Raises:
        InvalidName: The prefix is empty, too long, or holds white space or control characters.
    """

    prefix: str = DEFAULT_PREFIX

    def __post_init__(self) -> None:
        printable = self.prefix.isprintable() and not any(ch.isspace() for ch in self.prefix)
        if not self.prefix or len(self.prefix) > _MAX_PREFIX_LENGTH or not printable:
            raise InvalidName("key prefix", self.prefix, _PREFIX_RULE)

    # One job.

    def job(self, job_id: str) -> str:
        """HASH: the job record."""
        return f"{self.prefix}:job:{job_id}"

    def events(self, job_id: str) -> str:
        """STREAM: the terminal event of a job, for waiters of the public line (``job_events``)."""
        return f"{self.prefix}:events:job:{job_id}"

    def lock_job(self, job_id: str) -> str:
        """STRING: a lock held by an orchestrator of the public line; honoured at claim."""
        return f"{self.prefix}:lock:job:{job_id}"

    def channel(self, job_id: str) -> str:
        """Pub/sub channel that announces the end of a job; nothing is stored."""
        return f"{self.prefix}:done:{job_id}"

    # One queue.

    def queue(self, name: str) -> str:
        """ZSET: job ids, score = due time in epoch ms."""
        return f"{self.prefix}:queue:{name}"

    def wake(self, name: str) -> str:
        """LIST: at most one marker; what idle orchestrators block on."""
        return f"{self.prefix}:wake:{name}"

    def stats(self, name: str) -> str:
        """HASH: counters of a queue since it exists."""
        return f"{self.prefix}:stats:{name}"

    def stats_minute(self, name: str, minute: int) -> str:
        """HASH: counters of a queue in one minute (``minute`` = epoch s // 60); expires."""
        return f"{self.prefix}:stats:{name}:{minute}"

    def rescored(self, name: str) -> str:
        """STRING with a TTL: the queue was made good after a step of the server's clock."""
        return f"{self.prefix}:rescored:{name}"

    def dlq(self, name: str) -> str:
        """LIST: ids of dead-lettered jobs, newest first."""
        return f"{self.prefix}:dlq:{name}"

    # One orchestrator.

    def active(self, orchestrator_id: str) -> str:
        """ZSET: ids claimed by that orchestrator, score = claim time."""
        return f"{self.prefix}:active:jobs:{orchestrator_id}"

    def health(self, orchestrator_id: str) -> str:
        """STRING: the JSON report of an orchestrator, with a TTL."""
        return f"{self.prefix}:health:worker:{orchestrator_id}"

    def control(self, orchestrator_id: str) -> str:
        """LIST: cancel and drain requests for one orchestrator."""
        return f"{self.prefix}:ctl:{orchestrator_id}"

    # What keeps producers from doubling work.

    def idempotency(self, unique_key: str) -> str:
        """STRING: unique key -> id of the job that holds it."""
        return f"{self.prefix}:idempotency:{unique_key}"

    def rate_limit(self, key: str) -> str:
        """STRING with a TTL: while it exists, no further job of this key is accepted."""
        return f"{self.prefix}:rate_limit:{key}"

    def debounce(self, key: str) -> str:
        """STRING with a TTL: the pending job that collects the calls of this key, until it starts."""
        return f"{self.prefix}:debounce:{key}"

    def debounced(self, key: str) -> str:
        """STRING with a TTL: the latest calls of a debounce key, and what each was told."""
        return f"{self.prefix}:debounced:{key}"

    def lock_unique(self, unique_key: str) -> str:
        """STRING: the unique lock of the public line's orchestrator."""
        return f"{self.prefix}:lock:unique:{unique_key}"

    def cron(self, entry: str) -> str:
        """HASH: the last tick fired of a cron entry, its job, and the schedule."""
        return f"{self.prefix}:cron:{entry}"

    # One per installation.

    @property
    def workers(self) -> str:
        """ZSET: orchestrator id -> lease value; the authority on who is alive."""
        return f"{self.prefix}:workers"

    @property
    def reaping(self) -> str:
        """ZSET: orchestrators declared dead whose jobs are being taken back."""
        return f"{self.prefix}:reaping"

    @property
    def epoch(self) -> str:
        """HASH: the first orchestrator that registered since the key space is there, and how many have."""
        return f"{self.prefix}:epoch"

    @property
    def queues(self) -> str:
        """SET: queue names ever used."""
        return f"{self.prefix}:queues"

    @property
    def dlqs(self) -> str:
        """SET: DLQ names ever used."""
        return f"{self.prefix}:dlqs"

    @property
    def paused(self) -> str:
        """SET: names of paused queues."""
        return f"{self.prefix}:paused"

    @property
    def quarantine(self) -> str:
        """LIST: ids whose job key has the wrong type."""
        return f"{self.prefix}:quarantine"

    # Back from a key to a name.

    def queue_name(self, key: str) -> str:
        """Return the queue name in a full queue key; a bare name is returned as it is."""
        return key.removeprefix(f"{self.prefix}:queue:")

    def dlq_name(self, key: str) -> str:
        """Return the DLQ name in a full DLQ key; a bare name is returned as it is."""
        return key.removeprefix(f"{self.prefix}:dlq:")
