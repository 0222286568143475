"""Enqueueing by hand: one job, and a job like another one."""

from typing import Any

import msgspec

from rrq_cli.exits import fail
from rrq_cli.hints import command, remark
from rrq_cli.shapes import Submitted
from rrq_cli.store.client import Store
from rrq_cli.store.records import read_hash
from rrq_protocol import Job, JobRecord, MalformedRecord, parse_record, transitions

__all__ = ["defaults_of", "enqueue_one", "replay_of"]


def defaults_of(store: Store) -> transitions.EnqueueDefaults:
    """Return what the settings give to jobs that leave a field open."""
    settings = store.settings
    return transitions.EnqueueDefaults(
        queue_name=settings.default_queue_name,
        max_retries=settings.default_max_retries,
        job_timeout_seconds=settings.default_job_timeout_seconds,
        result_ttl_seconds=settings.default_result_ttl_seconds,
        unique_ttl_seconds=settings.default_unique_job_lock_ttl_seconds,
        max_payload_bytes=settings.max_payload_bytes,
    )


def enqueue_one(store: Store, asked: Job) -> Submitted:
    """Enqueue one job.

    Raises:
        InvalidJob: A field is wrong.
        CliError: Its id is taken by another job, or a key of it holds something else.
    """
    prepared = transitions.prepare(asked, defaults_of(store))
    (reply,) = store.run(transitions.enqueue(store.keys, [prepared]))
    if reply.kind is transitions.EnqueueKind.TAKEN:
        fail(f"job {prepared.job_id} exists with another content; choose another --job-id")
    if reply.kind is transitions.EnqueueKind.WRONG_TYPE:
        fail(
            f"a key of job {prepared.job_id} or of queue {prepared.queue_name} holds something else; "
            "nothing was enqueued"
        )
    created = reply.kind is transitions.EnqueueKind.CREATED
    return Submitted(id=reply.job_id, queue_name=prepared.queue_name, created=created)


def replay_of(store: Store, job_id: str, queue: str | None) -> Job:
    """Return a new job that does what a job did which has ended.

    Raises:
        CliError: There is no such job, it is broken, or it has not ended.
    """
    fields, _ = read_hash(store, job_id)
    try:
        record = parse_record(fields)
    except MalformedRecord as error:
        fail(f"job {job_id} cannot be replayed: malformed {error.field}: {error.problem}")
    if not record.status.is_terminal:
        there = command("job", "why", job_id) + remark()
        fail(f"job {job_id} has not ended, its status is {record.status.value}: {there}")
    own = None if record.queue_name is None else store.keys.queue_name(record.queue_name)
    return Job(
        record.function_name,
        _params(record),
        queue_name=queue or own,
        max_retries=record.max_retries,
        job_timeout_seconds=record.job_timeout_seconds,
        result_ttl_seconds=record.result_ttl_seconds,
        correlation_context=_context(record.correlation_context),
    )


def _params(record: JobRecord) -> dict[str, Any]:
    try:
        return msgspec.json.decode(record.params, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as error:
        fail(f"job {record.id} cannot be replayed: its parameters are no JSON object: {error}")


def _context(text: str | None) -> dict[str, str] | None:
    """Return the values by which a job is found again in logs; what cannot be read is left out."""
    try:
        return None if text is None else msgspec.json.decode(text, type=dict[str, str])
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        return None
