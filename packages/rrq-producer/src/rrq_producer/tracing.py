"""The span around an enqueue, and its context in the jobs; only where telemetry is on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from rrq_producer.jobs import EnqueuedJob
from rrq_protocol import Job
from rrq_protocol.telemetry import Span, Telemetry

__all__ = ["enqueueing", "told"]


@contextmanager
def enqueueing(telemetry: Telemetry, jobs: Sequence[Any], queue: str) -> Iterator[tuple[list[Any], Span]]:
    """Serve the jobs with the span's context in them, and the span, which is current meanwhile.

    A trace context that the caller gave stays as it is. The jobs are not checked yet: what is none is served
    as it came.
    """
    span = telemetry.enqueue(jobs, queue)
    headers = span.headers()
    leave = span.activate()
    try:
        yield [_carrying(job, headers) for job in jobs], span
    except BaseException as error:
        span.end(str(error), type(error).__name__)
        raise
    finally:
        leave()
        span.end()


def told(span: Span, job: EnqueuedJob | None) -> EnqueuedJob | None:
    """Tell the span what became of the enqueue, and return that."""
    if job is None:
        span.set({"rrq.outcome": "rate_limited"})
    else:
        outcome = "created" if job.created else "existing"
        span.set({"messaging.message.id": job.id, "rrq.outcome": outcome})
    return job


def _carrying(job: Any, headers: dict[str, str]) -> Any:
    if not headers or not isinstance(job, Job) or job.trace_context is not None:
        return job
    return msgspec.structs.replace(job, trace_context=headers)
