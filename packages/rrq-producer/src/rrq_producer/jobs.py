"""From what a caller asks for to the call that asks Redis, and back from its reply. Pure; shared by both
producers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypedDict, cast

import msgspec

from rrq_producer.checks import check_guard, check_job, check_mappings, check_name, seconds_of
from rrq_producer.errors import DuplicateJob, WrongKeyType
from rrq_producer.packing import pack
from rrq_protocol import (
    InvalidJob,
    Job,
    Keyspace,
    PayloadTooLarge,
    RRQError,
    ScriptCall,
    Settings,
    validate_queue_name,
)
from rrq_protocol.transitions import (
    CancelReply,
    EnqueueDefaults,
    EnqueueKind,
    EnqueueReply,
    Guard,
    PreparedJob,
    cancel,
    enqueue,
    prepare,
)

__all__ = [
    "Chunk",
    "EnqueuedJob",
    "JobOptions",
    "JobRules",
    "accepted",
    "debounce",
    "debounced",
    "job_of",
    "rate_limit",
    "read_single",
    "record_bytes",
    "refusal",
    "reschedule",
]

CHUNK_JOBS = 500
"""Most jobs accepted by one script call: some 6 ms of the server's time."""
CHUNK_BYTES = 1024 * 1024
"""A chunk ends when it has reached this size."""

_RATE_LIMIT, _DEBOUNCE, _RESCHEDULE = "rate_limit", "debounce", "reschedule"
_MAX_GUARD_SECONDS = 365 * 86_400.0


class EnqueuedJob(msgspec.Struct, frozen=True):
    """Outcome of an enqueue.

    Attributes:
        id: The job that stands for the call now: the new one, or the one that was there.
        created: Whether this call created it. After an answer was lost, and after several jobs were refused
            together, a job found under an id of the caller's choice, with the same content, counts as created
            by this call: the two cannot be told apart. Ids that are left out are always told exactly.
    """

    id: str
    created: bool


class JobOptions(TypedDict, total=False):
    """What may be said about a job beside its function and parameters; see :class:`rrq_protocol.Job` for
    each."""

    queue_name: str | None
    job_id: str | None
    unique_key: str | None
    unique_ttl_seconds: float | timedelta | None
    max_retries: int | None
    job_timeout_seconds: float | timedelta | None
    result_ttl_seconds: float | timedelta | None
    defer_by: float | timedelta | None
    defer_until: datetime | None
    trace_context: Mapping[str, str] | None
    correlation_context: Mapping[str, str] | None
    on_conflict: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Jobs that one script call accepts. Packing is left for when it is sent: the server is busy meanwhile.

    Attributes:
        first: Position of its first job in the caller's sequence.
        jobs: What the caller asked for.
        records: The same, prepared.
        call: The call that accepts them.
    """

    first: int
    jobs: Sequence[Job]
    records: Sequence[PreparedJob]
    call: ScriptCall[tuple[EnqueueReply, ...]]

    def evalsha(self) -> bytes:
        """Return the command that names the script."""
        return pack(self.call.evalsha_args())

    def eval(self) -> bytes:
        """Return the command that brings the script along."""
        return pack(self.call.eval_args())


class JobRules:
    """What this producer does with jobs: where they go, and what they get where they leave a field open."""

    def __init__(
        self, keyspace: Keyspace, defaults: EnqueueDefaults, *, cancelled_ttl_s: float, job_events: bool
    ) -> None:
        self.keyspace, self.defaults = keyspace, defaults
        self._cancelled_ttl_s, self._job_events = cancelled_ttl_s, job_events

    @classmethod
    def of(cls, settings: Settings, *, queue_name: str | None = None) -> "JobRules":
        """Return the rules of the settings, with another default queue where one is named.

        Raises:
            InvalidName: ``queue_name`` or the key prefix breaks the naming rules.
        """
        check_name("key prefix", settings.key_prefix)
        keyspace = Keyspace(settings.key_prefix)
        if queue_name is None:
            queue_name = keyspace.queue_name(settings.default_queue_name)
        check_name("queue", queue_name)
        defaults = EnqueueDefaults(
            queue_name=validate_queue_name(queue_name),
            max_retries=settings.default_max_retries,
            job_timeout_seconds=settings.default_job_timeout_seconds,
            result_ttl_seconds=settings.default_result_ttl_seconds,
            unique_ttl_seconds=settings.default_unique_job_lock_ttl_seconds,
            max_payload_bytes=settings.max_payload_bytes,
        )
        ttl_s = settings.default_result_ttl_seconds
        return cls(keyspace, defaults, cancelled_ttl_s=ttl_s, job_events=settings.job_events)

    def single(self, job: Job, guard: Guard | None = None) -> Chunk:
        """Return the call that accepts one job.

        Raises:
            InvalidJob: A field is wrong; nothing is sent.
        """
        return self.chunk((job,), (self.prepared(job, guard),))

    def prepared(self, job: Job, guard: Guard | None = None) -> PreparedJob:
        """Return a job as it is sent, however often it is.

        Raises:
            InvalidJob: A field is wrong.
        """
        check_guard(guard)
        try:
            record = prepare(job, self.defaults, guard=guard)
            check_mappings(job)
        except Exception as error:
            check_job(job)  # what is of a wrong type is told best there
            if isinstance(error, RRQError):
                raise
            # A value's own code: a time zone, an iterator, ...
            raise InvalidJob("params", f"cannot be encoded: {type(error).__name__} was raised") from error
        return record

    def chunk(self, jobs: Sequence[Job], records: Sequence[PreparedJob], first: int = 0) -> Chunk:
        """Return the call that accepts ``jobs``, which were prepared as ``records``."""
        return Chunk(first, jobs, records, enqueue(self.keyspace, records))

    def many(self, jobs: Sequence[Job]) -> list[Chunk]:
        """Return the calls that accept all of ``jobs``, in order, after checking every one of them.

        Raises:
            InvalidJob: A job is wrong; the text names its position, and nothing is sent.
        """
        records = [self._prepare_item(index, job) for index, job in enumerate(jobs)]
        return [self.chunk(jobs[first:end], records[first:end], first) for first, end in _bounds(records)]

    def singles(self, chunk: Chunk) -> Iterator[Chunk]:
        """Yield the calls that accept the jobs of ``chunk`` one by one."""
        for offset, (job, record) in enumerate(zip(chunk.jobs, chunk.records, strict=True)):
            yield self.chunk((job,), (record,), chunk.first + offset)

    def stats_key(self, job: Job) -> str:
        """Return the key of the counters of a job's queue."""
        return self.keyspace.stats(job.queue_name or self.defaults.queue_name)

    def cancel(self, job_id: str) -> ScriptCall[CancelReply]:
        """Return the call that cancels a job."""
        return cancel(self.keyspace, job_id, ttl_seconds=self._cancelled_ttl_s, job_events=self._job_events)

    def _prepare_item(self, index: int, job: Job) -> PreparedJob:
        if not isinstance(job, Job):
            raise InvalidJob(f"jobs[{index}]", f"expected a Job, got {type(job).__name__}")
        try:
            return self.prepared(job)
        except PayloadTooLarge as error:
            error.args, error.field = (f"jobs[{index}].{error}",), f"jobs[{index}].{error.field}"
            raise
        except InvalidJob as error:
            raise InvalidJob(f"jobs[{index}].{error.field}", error.message) from None


def record_bytes(record: PreparedJob) -> int:
    """Return about how many bytes a job has on the wire."""
    args = cast(Sequence[bytes], record.args)
    return len(args[_PARAMS]) + len(args[_TRACE]) + len(args[_CORRELATION])


_PARAMS, _TRACE, _CORRELATION = 2, 14, 15  # what may be large of a record of enqueue.lua


def _bounds(records: Sequence[PreparedJob]) -> Iterator[tuple[int, int]]:
    first, size = 0, 0
    for index, record in enumerate(records):
        size += record_bytes(record)
        if index - first + 1 == CHUNK_JOBS or size >= CHUNK_BYTES:
            yield first, index + 1
            first, size = index + 1, 0
    if first < len(records):
        yield first, len(records)


def rate_limit(key: str, seconds: float | timedelta) -> Guard:
    """Return the condition that accepts at most one job per key and period.

    Raises:
        InvalidJob: The key is empty or the period is no time.
    """
    return _guard(_RATE_LIMIT, "rate_limit", key, seconds)


def debounce(key: str, seconds: float | timedelta) -> Guard:
    """Return the condition that lets one pending job collect all calls of a key.

    Raises:
        InvalidJob: The key is empty or the period is no time.
    """
    return _guard(_DEBOUNCE, "debounce", key, seconds)


def debounced(job: Job, seconds: float | timedelta) -> Job:
    """Return the job, due when its key has been quiet for the period, unless it names a time of its own."""
    if job.defer_by is not None or job.defer_until is not None:
        return job
    return msgspec.structs.replace(job, defer_by=seconds)


def reschedule() -> Guard:
    """Return the condition that moves the pending job of the given id instead of refusing the id."""
    return Guard(_RESCHEDULE)


def _guard(kind: str, name: str, key: object, seconds: object) -> Guard:
    if not isinstance(key, str) or not key:
        got = "an empty one" if key == "" else type(key).__name__
        raise InvalidJob(f"{name}_key", f"expected a text that is not empty, got {got}")
    value = seconds_of(seconds)
    if value is None:
        raise InvalidJob(
            f"{name}_seconds", f"expected seconds (a number or a timedelta), got {type(seconds).__name__}"
        )
    if not 0.001 <= value <= _MAX_GUARD_SECONDS:  # false for NaN too
        raise InvalidJob(
            f"{name}_seconds", f"expected 0.001 to {_MAX_GUARD_SECONDS:.0f} seconds, got {value}"
        )
    return Guard(kind, key, value)


def refusal(
    job: Job, reply: EnqueueReply, *, repeated: bool, index: int | None = None
) -> DuplicateJob | WrongKeyType | None:
    """Return the error that tells why a job was not accepted, or None where it was, or another may stand for
    it.

    Args:
        job: What was asked for.
        reply: What became of it.
        repeated: It may have been accepted by an earlier attempt of the same call.
        index: Its position, with ``enqueue_many``.
    """
    match reply.kind:
        case EnqueueKind.WRONG_TYPE:
            return WrongKeyType(reply.job_id, index=index)
        case EnqueueKind.TAKEN:
            return DuplicateJob(reply.job_id, "id_taken", index=index)
        case EnqueueKind.ENDED:
            return DuplicateJob(reply.job_id, "job_ended", index=index)
        case EnqueueKind.EXISTS if job.on_conflict == "raise" and not repeated:
            return DuplicateJob(reply.job_id, "id_exists", index=index)
        case EnqueueKind.UNIQUE if job.on_conflict == "raise":
            return DuplicateJob(reply.job_id, "unique_key", index=index)
    return None


def accepted(reply: EnqueueReply, *, repeated: bool) -> EnqueuedJob | None:
    """Return the job that stands for the call, or None where a rate limit let none be created."""
    if reply.kind is EnqueueKind.RATE_LIMITED:
        return None
    created = reply.kind is EnqueueKind.CREATED or (repeated and reply.kind is EnqueueKind.EXISTS)
    return EnqueuedJob(reply.job_id, created)


def read_single(chunk: Chunk, reply: object, *, repeated: bool) -> EnqueuedJob | None:
    """Return what became of the one job of ``chunk``; None where a rate limit let none be created.

    Raises:
        DuplicateJob: Another job stands in its place.
        WrongKeyType: Its key or its queue's holds something else.
    """
    (outcome,) = chunk.call.result(reply)
    if (error := refusal(chunk.jobs[0], outcome, repeated=repeated)) is not None:
        raise error
    return accepted(outcome, repeated=repeated)


def job_of(function_name: str, params: Mapping[str, Any] | None, options: JobOptions) -> Job:
    """Return what the caller asks for as one value."""
    return Job(function_name, {} if params is None else params, **options)
