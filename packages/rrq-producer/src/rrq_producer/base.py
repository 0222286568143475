"""What the blocking and the async producer have in common: how they are made, and what they decide without
I/O."""

import math
import os
from collections.abc import Iterable
from datetime import timedelta
from typing import Self, TypeVar

from rrq_producer.address import Address
from rrq_producer.attempts import Attempts
from rrq_producer.bulk import Bulk
from rrq_producer.checks import check_name, check_number, checked_jobs, seconds_of
from rrq_producer.durability import Durability, durability_of
from rrq_producer.errors import InvalidArgument, JobNotFound, WrongKeyType
from rrq_producer.jobs import JobRules
from rrq_protocol import (
    DEFAULT_PREFIX,
    InvalidJob,
    Job,
    Secret,
    Settings,
    SettingsError,
    load_settings,
    validate_job_id,
)
from rrq_protocol.settings import Provenance
from rrq_protocol.telemetry import enable_named
from rrq_protocol.transitions import CancelReply, Guard

__all__ = ["ProducerBase"]

DEFAULT_TIMEOUT_S = 10.0
DEFAULT_CONNECTIONS = 32
MEMORY = "memory"
MAX_TIMEOUT_S = 365 * 86_400.0
MAX_CONNECTIONS = 1_000_000

T = TypeVar("T")


class ProducerBase:
    """A producer without its connections.

    Args:
        redis_dsn: ``redis://``, ``rediss://``, ``unix://`` or ``embedded://<folder>``.
        queue_name: Queue of jobs that name none.
        key_prefix: What every key starts with; the same for producers and orchestrators that belong together.
        timeout_seconds: Time a call gets, retries included, before it raises ``RedisUnavailable``.
        max_connections: Most connections in use at a time; further calls wait for one.
        durability: What each enqueue waits for after its job was accepted, unless it names another:
            ``"memory"`` for nothing, ``"fsync"`` until the server's disk has it (Redis from 7.2 on, with an
            append-only file), ``"replicas:2"`` until two replicas have it. ``timeout_seconds`` is the time
            for that too.

    Raises:
        SettingsError: The address is unusable.
        InvalidName: The queue name or the key prefix is.
        InvalidArgument: A number is, or ``durability``.
    """

    def __init__(
        self,
        redis_dsn: str,
        *,
        queue_name: str | None = None,
        key_prefix: str = DEFAULT_PREFIX,
        timeout_seconds: float = DEFAULT_TIMEOUT_S,
        max_connections: int = DEFAULT_CONNECTIONS,
        durability: str = MEMORY,
    ) -> None:
        dsn: object = redis_dsn  # whatever an untyped program gave
        if not isinstance(dsn, str):
            raise SettingsError([f"rrq.redis_dsn: expected a text, got {type(dsn).__name__}"])
        given = Provenance(given=frozenset({"redis_dsn"}))
        settings = Settings(redis_dsn=Secret(redis_dsn), key_prefix=key_prefix, provenance=given)
        self._set_up(settings, queue_name, timeout_seconds, max_connections, durability)

    @classmethod
    def from_settings(
        cls,
        settings: Settings | str | os.PathLike[str] | None = None,
        *,
        queue_name: str | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_S,
        max_connections: int = DEFAULT_CONNECTIONS,
        durability: str = MEMORY,
    ) -> Self:
        """Return a producer with the settings of a file and the environment, or those given.

        Args:
            settings: Settings, or the file to read them from; by default ``RRQ_CONFIG`` or ``./rrq.toml``.
            queue_name: Queue of jobs that name none; by default that of the settings.
            timeout_seconds: Time a call gets, retries included.
            max_connections: Most connections in use at a time.
            durability: What each enqueue waits for.

        Raises:
            SettingsError: The settings have problems, all of them listed.
        """
        given: object = settings  # whatever an untyped program gave
        if not isinstance(given, Settings | str | os.PathLike | None):
            kind = type(given).__name__
            raise SettingsError([f"settings: expected Settings or the name of a file, got {kind}"])
        if not isinstance(settings, Settings):
            settings = load_settings(settings)
        enable_named(settings.telemetry, "rrq-producer")
        producer = cls.__new__(cls)
        producer._set_up(settings, queue_name, timeout_seconds, max_connections, durability)
        return producer

    def _set_up(
        self,
        settings: Settings,
        queue_name: str | None,
        timeout_s: float,
        connections: int,
        durability: str,
    ) -> None:
        check_number("timeout_seconds", timeout_s, _is_time, "seconds, more than 0", int, float)
        check_number("max_connections", connections, _is_count, "a whole number of at least 1", int)
        self._durability = durability_of(durability)
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

    def _wanted(self, durability: str | None) -> Durability | None:
        """Return what an enqueue waits for; None for nothing.

        Raises:
            InvalidArgument: It asks for something else.
        """
        return self._durability if durability is None else durability_of(durability)

    def _bulk(self, jobs: Iterable[Job]) -> Bulk:
        return Bulk(self._rules, checked_jobs(jobs))


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


def unlimited(guard: Guard | None) -> Guard | None:
    """Return a condition under which there is always a job that stands for the call.

    Raises:
        InvalidJob: It is a rate limit.
    """
    if isinstance(guard, Guard) and guard.kind == "rate_limit":
        raise InvalidJob("guard", "expected no rate limit; that is what enqueue_with_rate_limit is for")
    return guard


def certain(job: T | None) -> T:
    """Return the outcome of an enqueue that no rate limit was asked for."""
    assert job is not None
    return job


def checked_id(job_id: object) -> str:
    """Return a job id.

    Raises:
        InvalidName: That can be none.
    """
    check_name("job id", job_id)
    return validate_job_id(job_id)


def wait_arguments(job_id: object, timeout: float | timedelta | None) -> tuple[str, float | None]:
    """Return the checked id and the seconds to wait, None for as long as it takes.

    Raises:
        InvalidName: That can be no job id.
        InvalidArgument: The time is none.
    """
    limit_s = seconds_of(timeout)
    if timeout is not None and limit_s is None:
        raise InvalidArgument(
            "timeout", f"expected seconds, a timedelta or None, got {type(timeout).__name__}"
        )
    return checked_id(job_id), None if limit_s == math.inf else limit_s


def _is_time(value: float) -> bool:
    return 0 < value <= MAX_TIMEOUT_S  # false for NaN too


def _is_count(value: int) -> bool:
    return 1 <= value <= MAX_CONNECTIONS
