"""Reading where a job stands, and waiting for its end. Pure; shared by both producers."""

from collections.abc import Sequence
from typing import cast

from rrq_producer.errors import JobNotFound, ResultExpired, WaitTimeout
from rrq_producer.packing import pack
from rrq_protocol import JobResult, Keyspace, parse_record

__all__ = ["RECHECK_S", "Waiting", "read_status", "status_command"]

RECHECK_S = 5.0
"""A waiter reads the record at least this often, whatever was or was not announced."""

_FIRST_RECHECK_S = 0.2

# What a result is made of; not the parameters, which may be large.
_FIELDS = ("id", "function_name", "enqueue_time", "status", "result", "last_error", "current_retries")
_NO_PARAMS = {b"job_params": b"{}"}


def status_command(keyspace: Keyspace, job_id: str) -> bytes:
    """Return the command that reads where a job stands."""
    return pack(("HMGET", keyspace.job(job_id), *_FIELDS))


def read_status(reply: object) -> JobResult | None:
    """Return where the job stands, or None where there is none.

    Raises:
        MalformedRecord: The record cannot be understood.
    """
    values = cast(Sequence[bytes | None], reply)
    fields = {name.encode(): value for name, value in zip(_FIELDS, values, strict=True) if value is not None}
    return JobResult.of(parse_record(_NO_PARAMS | fields)) if fields else None


class Waiting:
    """What one waiter knows about its job."""

    def __init__(self, job_id: str) -> None:
        self._job_id = job_id
        self._seen: str | None = None
        self._announced: str | None = None
        self._pause_s, self._fresh = RECHECK_S, True

    def pause_s(self) -> float:
        """Return how long to listen before the record is read again.

        The first time is for the subscription to begin, which needs no haste. Then short, and doubling: an
        orchestrator of the public line announces nothing, and its jobs must not all seem to take 5 s.
        """
        pause_s = self._pause_s
        self._pause_s = _FIRST_RECHECK_S if self._fresh else min(2 * pause_s, RECHECK_S)
        self._fresh = False
        return pause_s

    def announced(self, status: bytes) -> None:
        """Take note of the message that the job has ended."""
        self._announced = status.decode("utf-8", "replace")

    def observe(self, result: JobResult | None) -> JobResult | None:
        """Return the result once the job has ended; None while it has not.

        Args:
            result: Where the job stands now, as :func:`read_status` returns it.

        Raises:
            JobNotFound: There is no such job. ``ResultExpired``: there was one.
        """
        if result is None:
            if self._seen is None and self._announced is None:
                raise JobNotFound(self._job_id)
            raise ResultExpired(self._job_id, self._announced)
        self._seen = result.status.value
        return result if result.status.is_terminal else None

    def timed_out(self, timeout_s: float) -> WaitTimeout:
        """Return the error to raise when the time is used up."""
        return WaitTimeout(self._job_id, timeout_s, self._seen)
