"""What the blocking and the async producer have in common: how they are made, and what they decide without
I/O."""

import math
import os
from collections import deque
from collections.abc import Iterable
from datetime import timedelta
from typing import Self, TypeVar

from rrq_producer.address import Address
from rrq_producer.attempts import Attempts
from rrq_producer.errors import JobNotFound, WrongKeyType
from rrq_producer.jobs import Chunk, JobRules, seconds_of
from rrq_protocol import DEFAULT_PREFIX, Job, Secret, Settings, load_settings, validate_job_id
from rrq_protocol.settings import Provenance
from rrq_protocol.transitions import CancelReply

__all__ = ["ProducerBase"]

DEFAULT_TIMEOUT_S = 10.0
DEFAULT_CONNECTIONS = 32

T = TypeVar("T")


class ProducerBase:
    """A producer without its connections.

    Args:
        redis_dsn: ``redis://``, ``rediss://``, ``unix://`` or ``embedded://<folder>``.
        queue_name: Queue of jobs that name none.
        key_prefix: What every key starts with; the same for producers and orchestrators that belong together.
        timeout_seconds: Time a call gets, retries included, before it raises ``RedisUnavailable``.
        max_connections: Most connections in use at a time; further calls wait for one.

    Raises:
        SettingsError: The address is unusable.
        InvalidName: The queue name or the key prefix is.
    """

    def __init__(
        self,
        redis_dsn: str,
        *,
        queue_name: str | None = None,
        key_prefix: str = DEFAULT_PREFIX,
        timeout_seconds: float = DEFAULT_TIMEOUT_S,
        max_connections: int = DEFAULT_CONNECTIONS,
    ) -> None:
        given = Provenance(given=frozenset({"redis_dsn"}))
        settings = Settings(redis_dsn=Secret(redis_dsn), key_prefix=key_prefix, provenance=given)
        self._set_up(settings, queue_name, timeout_seconds, max_connections)

    @classmethod
    def from_settings(
        cls,
        settings: Settings | str | os.PathLike[str] | None = None,
        *,
        queue_name: str | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_S,
        max_connections: int = DEFAULT_CONNECTIONS,
    ) -> Self:
        """Return a producer with the settings of a file and the environment, or those given.

        Args:
            settings: Settings, or the file to read them from; by default ``RRQ_CONFIG`` or ``./rrq.toml``.
            queue_name: Queue of jobs that name none; by default that of the settings.
            timeout_seconds: Time a call gets, retries included.
            max_connections: Most connections in use at a time.

        Raises:
            SettingsError: The settings have problems, all of them listed.
        """
        if not isinstance(settings, Settings):
            settings = load_settings(settings)
        producer = cls.__new__(cls)
        producer._set_up(settings, queue_name, timeout_seconds, max_connections)
        return producer

    def _set_up(self, settings: Settings, queue_name: str | None, timeout_s: float, connections: int) -> None:
        if not (math.isfinite(timeout_s) and timeout_s > 0):
            raise ValueError(f"timeout_seconds: expected more than 0, got {timeout_s}")
        if connections < 1:
            raise ValueError(f"max_connections: expected at least 1, got {connections}")
        self._address = Address(settings)
        self._rules = JobRules.of(settings, queue_name=queue_name)
        self._timeout_s = timeout_s
        # Whether many chunks can be sent at a time: none of them brings the script along.
        self._script_known = False
        self._open(connections)

    def _open(self, connections: int) -> None:
        """Make what holds the connections; called once."""
        raise NotImplementedError

    def __repr__(self) -> str:
        queue, prefix = self._rules.defaults.queue_name, self._rules.keyspace.prefix
        return f"<{type(self).__name__} {self._address.display} queue={queue} prefix={prefix}>"

    def _attempts(self, limit_s: float = math.inf) -> Attempts:
        return Attempts(self._address, max(0.0, min(limit_s, self._timeout_s)))

    def _chunks(self, jobs: Iterable[Job]) -> deque[Chunk]:
        return deque(self._rules.many(tuple(jobs)))


def cancelled(job_id: str, reply: CancelReply) -> CancelReply:
    """Return what became of a cancel.

    Raises:
        JobNotFound: There is no such job.
        WrongKeyType: Its key holds something else.
    """
    if reply is CancelReply.GONE:
        raise JobNotFound(job_id)
    if reply is CancelReply.WRONG_TYPE:
        raise WrongKeyType(job_id)
    return reply


def certain(job: T | None) -> T:
    """Return the outcome of an enqueue that no rate limit was asked for."""
    assert job is not None
    return job


def wait_arguments(job_id: str, timeout: float | timedelta | None) -> tuple[str, float | None]:
    """Return the checked id and the seconds to wait, None for as long as it takes.

    Raises:
        InvalidName: That can be no job id.
        ValueError: The time is not a number.
    """
    limit_s = seconds_of(timeout)
    if timeout is not None and limit_s is None:
        raise ValueError(f"timeout: expected seconds, a timedelta or None, got {timeout!r}")
    return validate_job_id(job_id), None if limit_s == math.inf else limit_s
