"""Accepting jobs: check and encode what a producer asks for, then the ``enqueue`` call (T0, T0r, T1)."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec

from rrq_protocol import strict_json
from rrq_protocol.errors import InvalidJob, InvalidName, NotSerialisable, PayloadTooLarge
from rrq_protocol.job import MAX_TIMEOUT_SECONDS, Job, new_job_id
from rrq_protocol.keys import Keyspace
from rrq_protocol.names import validate_function_name, validate_job_id, validate_queue_name
from rrq_protocol.scripts import ScriptCall, Text
from rrq_protocol.transitions.replies import as_list, as_text, now_arg

__all__ = ["EnqueueDefaults", "EnqueueKind", "EnqueueReply", "Guard", "PreparedJob", "enqueue", "prepare"]

_MAX_DEFER_SECONDS = 10 * 365 * 86_400.0
_MAX_TTL_SECONDS = 10 * 365 * 86_400.0
_MAX_KEY_CHARS = 256
_MAX_CONTEXT_CHARS = 64 * 1024
_MAX_ATTEMPTS = 1_000_000


class EnqueueDefaults(msgspec.Struct, frozen=True):
    """What a job that leaves a field open gets; the names are those of the settings, in seconds and bytes."""

    queue_name: str = "default"
    max_retries: int = 5
    job_timeout_seconds: float = 300.0
    result_ttl_seconds: float = 86_400.0
    unique_ttl_seconds: float = 21_600.0
    max_payload_bytes: int = 1024 * 1024


class Guard(msgspec.Struct, frozen=True):
    """A condition beside the unique key.

    Attributes:
        kind: ``"rate_limit"`` (at most one accepted job per key and period), ``"debounce"`` (one pending job
            per key collects all calls), ``"reschedule"`` (the pending job of the given id takes this payload
            and time) or ``"tick"`` (no job of this tick of a cron entry, or of a later one, was accepted).
        key: The key of the limit, or the cron entry; empty for ``"reschedule"``.
        ttl_seconds: The period.
        tick_ms: The tick, epoch ms.
    """

    kind: str
    key: str = ""
    ttl_seconds: float = 0.0
    tick_ms: int = 0


class PreparedJob(msgspec.Struct, frozen=True, gc=False):
    """A checked job, encoded: the arguments of one record of ``enqueue.lua``. Repeating it is safe."""

    job_id: str
    queue_name: str
    args: tuple[Text, ...]


class EnqueueKind(StrEnum):
    """What became of one record."""

    CREATED = "created"
    EXISTS = "exists"
    TAKEN = "taken"
    UNIQUE = "unique"
    RATE_LIMITED = "rate_limited"
    UPDATED = "updated"
    ENDED = "ended"
    WRONG_TYPE = "wrong_type"


class EnqueueReply(msgspec.Struct, frozen=True, gc=False):
    """Outcome of one record; ``job_id`` is the job that now stands for it, empty when rate limited."""

    kind: EnqueueKind
    job_id: str


def prepare(job: Job, defaults: EnqueueDefaults, *, guard: Guard | None = None) -> PreparedJob:
    """Check a job and encode it. Nothing is written before all of it is valid.

    Raises:
        InvalidJob: A field is wrong; it names the field.
        PayloadTooLarge: The params exceed the limit.
    """
    try:
        name, queue, content = _target(
            job.function_name, job.queue_name if job.queue_name is not None else defaults.queue_name
        )
        job_id = new_job_id() if job.job_id is None else validate_job_id(job.job_id)
    except InvalidName as error:
        raise InvalidJob(_FIELD_OF_KIND.get(error.kind, error.kind), str(error)) from None
    if job.on_conflict not in ("return_existing", "raise"):
        raise InvalidJob("on_conflict", f'expected "return_existing" or "raise", got {job.on_conflict!r}')
    params = _encode_params(job.params, defaults.max_payload_bytes)
    max_retries = _attempts(defaults.max_retries if job.max_retries is None else job.max_retries)
    timeout = _seconds(
        "job_timeout_seconds",
        job.job_timeout_seconds,
        defaults.job_timeout_seconds,
        1e-3,
        MAX_TIMEOUT_SECONDS,
    )
    ttl = _seconds(
        "result_ttl_seconds", job.result_ttl_seconds, defaults.result_ttl_seconds, 0, _MAX_TTL_SECONDS
    )
    unique_key = _key("unique_key", job.unique_key) if job.unique_key is not None else ""
    unique_ttl = _seconds(
        "unique_ttl_seconds", job.unique_ttl_seconds, defaults.unique_ttl_seconds, 1e-3, _MAX_TTL_SECONDS
    )
    content.update(params)
    return PreparedJob(
        job_id,
        queue,
        (
            job_id, name, params, queue, max_retries, number(timeout), number(ttl), content.hexdigest(),
            _due(job), unique_key, math.ceil(unique_ttl * 1000), *_guard_args(guard),
            _context("trace_context", job.trace_context),
            _context("correlation_context", job.correlation_context),
        ),
    )  # fmt: skip


def _target(function_name: object, queue_name: object) -> tuple[str, str, "hashlib.blake2b"]:
    """Return function and queue, checked, and the digest of a job's content with both of them in it."""
    # The same few pairs come over and over. Only plain texts are kept: they alone are sure to be hashable.
    if type(function_name) is str and type(queue_name) is str:
        name, queue, content = _remembered_target(function_name, queue_name)
    else:
        name, queue, content = _new_target(function_name, queue_name)
    return name, queue, content.copy()


def _new_target(function_name: object, queue_name: object) -> tuple[str, str, "hashlib.blake2b"]:
    name, queue = validate_function_name(function_name), validate_queue_name(queue_name)
    return name, queue, hashlib.blake2b(f"{name}\0{queue}\0".encode(), digest_size=12)


_remembered_target = lru_cache(maxsize=1024)(_new_target)


def enqueue(
    keyspace: Keyspace, jobs: Sequence[PreparedJob], *, now_ms: int | None = None
) -> ScriptCall[tuple[EnqueueReply, ...]]:
    """Return the call that accepts ``jobs`` in one step, each on its own; one reply per job, in order."""
    args: list[Text] = [keyspace.prefix, now_arg(now_ms)]
    for job in jobs:
        args.extend(job.args)
    return ScriptCall("enqueue", (keyspace.queues,), tuple(args), _decode)


def _decode(reply: object) -> tuple[EnqueueReply, ...]:
    flat = as_list(reply)
    return tuple(
        EnqueueReply(_KINDS.get(kind) or EnqueueKind(as_text(kind)), as_text(job_id))
        for kind, job_id in zip(flat[::2], flat[1::2], strict=True)
    )


_KINDS: dict[object, EnqueueKind] = {kind.value.encode(): kind for kind in EnqueueKind}

_FIELD_OF_KIND = {
    "queue": "queue_name",
    "job id": "job_id",
    "function": "function_name",
    "runner": "function_name",
}


def _encode_params(params: Mapping[str, Any], limit_bytes: int) -> bytes:
    if not isinstance(params, dict) and not isinstance(params, Mapping):  # the second takes its time
        raise InvalidJob(
            "params", f"expected a mapping of parameter names to values, got {type(params).__name__}"
        )
    try:
        encoded = strict_json.encode_json(params, "params")
    except NotSerialisable as error:
        raise InvalidJob(error.path, error.problem) from None
    if len(encoded) > limit_bytes:
        raise PayloadTooLarge(limit_bytes, len(encoded))
    return encoded


def _attempts(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_ATTEMPTS:
        raise InvalidJob("max_retries", f"expected attempts in all, 1 to {_MAX_ATTEMPTS}, got {value!r:.80}")
    return value


def _seconds(field: str, value: float | timedelta | None, default: float, least: float, most: float) -> float:
    if value is None:
        return default
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidJob(field, f"expected seconds (a number or a timedelta), got {type(value).__name__}")
    if not (least <= value <= most):  # false for NaN too
        raise InvalidJob(field, f"expected {number(least)} to {number(most)} seconds, got {value}")
    return float(value)


def _due(job: Job) -> str:
    """Return the ``due`` argument: empty for now, ``+N`` ms from the server's now, ``=N`` epoch ms."""
    if job.defer_until is not None:
        if job.defer_by is not None:
            raise InvalidJob("defer_until", "give defer_by or defer_until, not both")
        if not isinstance(job.defer_until, datetime):
            raise InvalidJob("defer_until", f"expected a datetime, got {type(job.defer_until).__name__}")
        if job.defer_until.utcoffset() is None:
            raise InvalidJob(
                "defer_until", "expected a datetime with a zone, got a naive one; add tzinfo, e.g. UTC"
            )
        instant_ms = job.defer_until.timestamp() * 1000
        if not 0 <= instant_ms <= _LATEST_MS:
            raise InvalidJob("defer_until", f"expected a time between 1970 and 2200, got {job.defer_until}")
        return f"={instant_ms:.3f}"
    if job.defer_by is None:
        return ""
    return f"+{_seconds('defer_by', job.defer_by, 0.0, 0, _MAX_DEFER_SECONDS) * 1000:.3f}"


_LATEST_MS = 7_258_118_400_000  # 1 January 2200


_GUARDS = ("rate_limit", "debounce", "reschedule", "tick")


def _guard_args(guard: Guard | None) -> tuple[str, str, int | str]:
    """Return kind, key and period in ms; a condition on a key needs both.

    A call that may move a job gets a name, so that its repeat is told from another call.
    """
    if guard is None:
        return "", "", 0
    if guard.kind not in _GUARDS:
        raise InvalidJob("guard", f"expected one of {', '.join(_GUARDS)}, got {guard.kind!r:.80}")
    if guard.kind == "reschedule":
        return guard.kind, "", f"0 {new_job_id()}"
    if guard.kind == "tick":
        return guard.kind, _key("tick_key", guard.key), guard.tick_ms
    period_s = _seconds(f"{guard.kind}_seconds", guard.ttl_seconds, 0.0, 1e-3, _MAX_TTL_SECONDS)
    key, period_ms = _key(f"{guard.kind}_key", guard.key), math.ceil(period_s * 1000)
    return guard.kind, key, f"{period_ms} {new_job_id()}" if guard.kind == "debounce" else period_ms


def _key(field: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_KEY_CHARS or not value.isprintable():
        raise InvalidJob(field, f"expected 1 to {_MAX_KEY_CHARS} printable characters, got {value!r:.80}")
    return value


def _context(field: str, value: Mapping[Any, Any] | None) -> str:
    if not value:
        return ""
    if not all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
        raise InvalidJob(field, "expected a mapping of text to text")
    try:
        text = strict_json.encode_json(value, field).decode()
    except NotSerialisable as error:
        raise InvalidJob(error.path, error.problem) from None
    if len(text) > _MAX_CONTEXT_CHARS:
        raise InvalidJob(field, f"expected at most {_MAX_CONTEXT_CHARS} characters of JSON, got {len(text)}")
    return text


@lru_cache(maxsize=1024)
def number(value: float) -> str:
    """Return a number as the record holds it: whole ones without a fraction, as the public line wants."""
    return str(int(value)) if value == int(value) else repr(value)
