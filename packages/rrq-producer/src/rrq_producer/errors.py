"""Errors of the producer.

::

    RRQError                    (rrq_protocol) base of everything RRQ raises on purpose
    ├── InvalidJob              (rrq_protocol) the job cannot be stored as asked; nothing was written
    │   └── PayloadTooLarge     (rrq_protocol) its parameters exceed the limit
    ├── InvalidName             (rrq_protocol) a job id or queue name breaks the naming rules
    ├── MalformedRecord         (rrq_protocol) a stored job cannot be understood
    ├── SettingsError           (rrq_protocol) the settings cannot be used
    ├── InvalidArgument         an argument beside the job cannot be used (a ValueError too)
    ├── DuplicateJob            the id belongs to another job, or a duplicate was to be an error
    ├── JobNotFound             there is no job of that id
    │   └── ResultExpired       there was, but its record is gone
    ├── WaitTimeout             the job has not ended yet (a TimeoutError too)
    ├── ProducerClosed          the producer was used after it was closed
    ├── WrongKeyType            a key that the job needs holds something else
    ├── DurabilityNotConfirmed  the job is written, and not as safe as was asked for
    └── RedisError              Redis did not do what was asked
        ├── QueueFull           it has no memory left for new jobs
        └── RedisUnavailable    it could not be used; the text says what was tried
            └── RedisRefused    and trying again is of no use before somebody changes something

Facts are attributes; the texts are built from them and are not part of the contract.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rrq_protocol import RRQError

if TYPE_CHECKING:
    from rrq_producer.jobs import EnqueuedJob

__all__ = [
    "DuplicateJob",
    "DurabilityNotConfirmed",
    "InvalidArgument",
    "JobNotFound",
    "ProducerClosed",
    "QueueFull",
    "RedisError",
    "RedisRefused",
    "RedisUnavailable",
    "ResultExpired",
    "WaitTimeout",
    "WrongKeyType",
]


class _Portable(RRQError):
    """An error whose copy in another process has its text and facts, whatever its constructor asks for."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuilt, (type(self), self.args, self.__dict__))


def _rebuilt(kind: type[RRQError], args: tuple[Any, ...], facts: dict[str, Any]) -> RRQError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(facts)
    return error


class InvalidArgument(_Portable, ValueError):
    """An argument that is no part of a job, such as a time to wait, cannot be used; nothing was sent.

    Attributes:
        field: Its name.
        message: What was expected and what came.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field, self.message = field, message


class _OfMany(_Portable):
    """An error that may end ``enqueue_many`` when some of its jobs have been accepted.

    Attributes:
        outcomes: With ``enqueue_many``: what became of every item, in order; None for those that were not
            accepted, or of which that is not known.
        unknown: Of the items that were sent and whose answer was lost, position and job id. They may have
            been accepted; enqueuing them again with these ids is safe. A single enqueue has position 0.
    """

    outcomes: "tuple[EnqueuedJob | None, ...]" = ()
    unknown: Mapping[int, str] = MappingProxyType({})

    @property
    def accepted(self) -> "tuple[EnqueuedJob, ...]":
        """With ``enqueue_many``: the jobs that are known to be accepted, in order."""
        return tuple(outcome for outcome in self.outcomes if outcome is not None)

    def tell(
        self, outcomes: "Sequence[EnqueuedJob | None]", unknown: Mapping[int, str] | None = None
    ) -> None:
        """Take note of what became of the items of ``enqueue_many``; called by the producer."""
        self.outcomes, self.unknown = tuple(outcomes), dict(unknown or {})
        text = f"{self}; {len(self.accepted)} of {len(self.outcomes)} jobs were accepted"
        self.args = (f"{text}, of {len(self.unknown)} that is not known" if unknown else text,)


class DuplicateJob(_OfMany):
    """The job was not accepted, because another one stands in its place; nothing of that one was changed.

    Attributes:
        job_id: The job that was there before.
        reason: ``"id_taken"`` (same id, other content), ``"id_exists"`` (the very same job; only with
            ``on_conflict="raise"``), ``"unique_key"`` (it holds the key; only with
            ``on_conflict="raise"``) or ``"job_ended"`` (it was to be rescheduled, and will not run again).
        index: Position of the refused item in ``enqueue_many``, else None. It is the first one refused;
            ``outcomes`` tells of all.
    """

    def __init__(self, job_id: str, reason: str, *, index: int | None = None) -> None:
        super().__init__(f"{_item(index)}{_REASONS[reason].format(job_id=job_id)}")
        self.job_id, self.reason, self.index = job_id, reason, index


def _item(index: int | None) -> str:
    return "" if index is None else f"item {index}: "


_REASONS = {
    "id_taken": (
        "job id {job_id!r} belongs to a job with other content; choose another id, or leave job_id out for "
        "a new one"
    ),
    "id_exists": 'job {job_id!r} exists already; with on_conflict="return_existing" it would be returned',
    "job_ended": (
        "job {job_id!r} has ended and cannot be rescheduled; choose another id, or leave job_id out for "
        "a new one"
    ),
    "unique_key": (
        "job {job_id!r} holds the unique key and has not ended; "
        'with on_conflict="return_existing" it would be returned'
    ),
}


class JobNotFound(_Portable):
    """Redis holds no job of this id: it never existed, or its record has expired."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id!r}: the id is wrong, or its record has expired")
        self.job_id = job_id


class ResultExpired(JobNotFound):
    """The job was there while it was waited for, and its record is gone now.

    Attributes:
        job_id: The job.
        status: How it ended, where that was announced in time; else None.
    """

    def __init__(self, job_id: str, status: str | None = None) -> None:
        super().__init__(job_id)
        ended = f"ended as {status}" if status else "was removed or ended"
        text = f"job {job_id!r} {ended} and its record has expired before it could be read"
        self.args = (f"{text}; raise result_ttl_seconds to keep results longer",)
        self.status = status


class WaitTimeout(_Portable, TimeoutError):
    """The job had not ended within the time given. It goes on; wait again, or cancel it."""

    def __init__(self, job_id: str, timeout_s: float, status: str | None) -> None:
        seen = f"its last known status is {status}" if status else "Redis has not told its status"
        super().__init__(f"job {job_id!r} has not ended within {timeout_s:g} s; {seen}")
        self.job_id, self.timeout_s, self.status = job_id, timeout_s, status


class ProducerClosed(_OfMany):
    """The producer was closed; make a new one."""

    def __init__(self) -> None:
        super().__init__("this producer was closed; make a new one")


class WrongKeyType(_OfMany):
    """The Redis key of the job, of its queue or of its rate limit holds a value of another type; nothing of
    it was changed.

    Attributes:
        job_id: The job.
        index: Position of the refused item in ``enqueue_many``, else None.
    """

    def __init__(self, job_id: str, *, index: int | None = None) -> None:
        super().__init__(
            f"{_item(index)}job {job_id!r}: its Redis key, its queue's or its rate limit's holds a value of "
            "another type; "
            "look with TYPE, then rename or delete that key"
        )
        self.job_id, self.index = job_id, index


class DurabilityNotConfirmed(_OfMany):
    """The job is written, and runs; only what ``durability`` asked for was not confirmed in time.

    Enqueuing it again with the id of ``job`` waits again and makes no second job.

    Attributes:
        job: With a single enqueue, what :meth:`~rrq_producer.Producer.enqueue` would have returned. With
            ``enqueue_many`` None; ``outcomes`` and ``accepted`` tell of all.
        address: The server, without its password.
        needed: How many replicas were expected to have it, 1 for the disk.
        confirmed: How many had it when the time was up.
        waited_s: Seconds that were waited for them.
        problem: What the server said where it refused to tell; else empty.
    """

    def __init__(
        self,
        job: "EnqueuedJob | None",
        address: str,
        expected: str,
        *,
        needed: int,
        confirmed: int,
        waited_s: float,
        problem: str = "",
    ) -> None:
        what = "the jobs are" if job is None else f"job {job.id!r} is"
        seen = f"the server refused to tell: {problem}" if problem else f"{confirmed} of {needed} confirmed"
        text = (
            f"{what} written, but the durability is not confirmed: expected {expected}, "
            f"after {waited_s:.1f} s {seen}; do not enqueue again under another id, look after the "
            f"replicas and the disk of Redis at {address}"
        )
        super().__init__(text)
        self.job, self.address, self.problem = job, address, problem
        self.needed, self.confirmed, self.waited_s = needed, confirmed, waited_s


class RedisError(_OfMany):
    """Redis did not do what was asked.

    Attributes:
        address: The server, without its password.
        problem: What it said, or what happened on the way.
        hint: What to do about it; may be empty.
        attempts: How often it was tried.
        waited_s: Seconds from the first attempt to the last.
        begun: The server refused after it may have done a part of it, such as some jobs of many.
        unsure: An answer was lost: the command may have had its effect all the same.
    """

    def __init__(
        self,
        address: str,
        problem: str,
        *,
        hint: str = "",
        attempts: int = 1,
        waited_s: float = 0.0,
        begun: bool = False,
        unsure: bool = False,
    ) -> None:
        self.address, self.problem, self.hint = address, problem, hint
        self.attempts, self.waited_s = attempts, waited_s
        self.begun, self.unsure = begun, unsure
        super().__init__(self._text())

    def _text(self) -> str:
        raise NotImplementedError


def name_unsure(error: RedisError, job_id: str) -> None:
    """Take note of the job that a single enqueue may have created all the same."""
    if error.unsure:
        error.unknown = {0: job_id}


class QueueFull(RedisError):
    """Redis has no memory left for new jobs; nothing was written. Free some, raise ``maxmemory``, or wait."""

    def _text(self) -> str:
        return f"queue full: Redis at {self.address} has no memory left ({self.problem}); {self.hint}"


class RedisUnavailable(RedisError):
    """Redis could not be used within the time given; ``unsure`` says whether the command may have had its
    effect.

    Repeating the call with the same ``job_id`` is safe.
    """

    def _text(self) -> str:
        times = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        hint = f"; {self.hint}" if self.hint else ""
        tried = f"{times} in {self.waited_s:.1f} s, the last: {self.problem}"
        return f"Redis at {self.address} is unavailable: {tried}{hint}"


class RedisRefused(RedisUnavailable):
    """Redis cannot be used before somebody changes something; it was not tried again.

    What it refused was not accepted. Only an earlier attempt of the same call may have been (``unsure``).
    """

    def _text(self) -> str:
        hint = f"; {self.hint}" if self.hint else ""
        return f"Redis at {self.address} refused: {self.problem}{hint}"
