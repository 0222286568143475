"""What a job waits for, gathered for :mod:`rrq_cli.why`."""

from datetime import UTC, datetime
from typing import Any

from rrq_cli.store.client import Store
from rrq_cli.store.orchestrators import list_orchestrators, read_report
from rrq_cli.store.records import detail, read_hash, text_of, time_of
from rrq_cli.why import Facts
from rrq_protocol import ErrorType, JobRecord, JobStatus

__all__ = ["gather", "runner_of", "running_on"]


def gather(store: Store, job_id: str) -> Facts:
    """Return what is known of a job and its surroundings.

    Raises:
        CliError: There is no such job.
    """
    raw, ttl = read_hash(store, job_id)
    job = detail(store.keys, job_id, raw, ttl)
    queue = job.queue_name or ""
    keys, now_ms = store.keys, store.now_ms()
    paused, score, rank, lock, lock_ms = store.ask(
        ("SISMEMBER", keys.paused, queue),
        ("ZSCORE", keys.queue(queue), job_id),
        ("ZRANK", keys.queue(queue), job_id),
        ("GET", keys.lock_job(job_id)),
        ("PTTL", keys.lock_job(job_id)),
    )
    before_it = _before(store, queue)
    dues = store.ask(*(("ZCOUNT", keys.queue(name), "-inf", now_ms) for name in before_it))
    last = job.failed_attempts[-1] if job.failed_attempts else {}
    return Facts(
        job=job,
        now=time_of(now_ms) or datetime.now(UTC),
        runner=runner_of(store, job.function_name or "", queue),
        now_ms=now_ms,
        due_ms=None if score is None or isinstance(score, Exception) else float(score),
        before=rank if isinstance(rank, int) else 0,
        outranked=[(name, due) for name, due in zip(before_it, dues, strict=True) if _is_count(due)],
        paused=paused == 1,
        lock_holder=_text(lock),
        lock_key=keys.lock_job(job_id),
        lock_ms=lock_ms if isinstance(lock_ms, int) and lock_ms >= 0 else None,
        unknown_handler=last.get("type") == ErrorType.HANDLER_NOT_FOUND,
        cancel_requested="cancel_requested_at" in job.fields,
        suspect="suspect" in job.fields,
        orchestrators=list_orchestrators(store),
    )


def _before(store: Store, queue: str) -> list[str]:
    """Return the queues that orchestrators with these settings serve before this one while there are jobs."""
    worker = store.settings.worker
    if not worker.strict or queue not in worker.queues:
        return []
    heavier = [name for name, weight in worker.queues.items() if weight > worker.queues[queue]]
    return sorted(heavier, key=lambda name: -worker.queues[name])


def _is_count(reply: object) -> bool:
    return isinstance(reply, int) and reply > 0


def runner_of(store: Store, function_name: str, queue: str) -> str:
    """Return the runner a job goes to, as an orchestrator with these settings decides."""
    named, cut, _ = function_name.partition("#")
    return named if cut else store.settings.runner_routes.get(queue, store.settings.default_runner_name)


def running_on(store: Store, record: JobRecord) -> str | None:
    """Return the runner a running job is on; None where it does not run, or its orchestrator has none."""
    if record.status is not JobStatus.ACTIVE or record.worker_id is None:
        return None
    queue = "" if record.queue_name is None else store.keys.queue_name(record.queue_name)
    name = runner_of(store, record.function_name, queue)
    (report,) = store.ask(("GET", store.keys.health(record.worker_id)))
    runners = read_report(record.worker_id, report).runners
    return name if runners is None or name in {each.name for each in runners} else None


def _text(reply: Any) -> str | None:
    return text_of(reply) if isinstance(reply, bytes) else None
