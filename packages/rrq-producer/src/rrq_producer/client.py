"""The call style of RRQ's first line on top of :class:`~rrq_producer.AsyncProducer`: options begin with an
underscore."""

import os
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from rrq_producer.aio import AsyncProducer
from rrq_producer.jobs import EnqueuedJob, reschedule
from rrq_protocol import InvalidJob, Job, JobResult, Settings

__all__ = ["RRQClient"]


class RRQClient:
    """Enqueues jobs: ``await client.enqueue("resize", "a.png", width=100, _queue_name="media")``.

    New code is better served by :class:`~rrq_producer.AsyncProducer`, where options and parameters cannot be
    mixed up.

    Args:
        settings: Settings, or the file to read them from; by default as :meth:`AsyncProducer.from_settings`.
        redis_dsn: The server, instead of that of the settings.

    Raises:
        SettingsError: The settings have problems, all of them listed.
    """

    def __init__(
        self, settings: Settings | str | os.PathLike[str] | None = None, *, redis_dsn: str | None = None
    ) -> None:
        if settings is None and redis_dsn is not None:
            self._producer = AsyncProducer(redis_dsn)
            return
        if redis_dsn is not None:
            raise TypeError("RRQClient: give settings or redis_dsn, not both")
        self._producer = AsyncProducer.from_settings(settings)

    async def enqueue(
        self,
        function_name: str,
        /,
        *args: Any,
        _queue_name: str | None = None,
        _job_id: str | None = None,
        _unique_key: str | None = None,
        _unique_ttl_seconds: float | timedelta | None = None,
        _max_retries: int | None = None,
        _job_timeout_seconds: float | timedelta | None = None,
        _result_ttl_seconds: float | timedelta | None = None,
        _defer_by: float | timedelta | None = None,
        _defer_until: datetime | None = None,
        _trace_context: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> EnqueuedJob:
        """Enqueue one job; keyword arguments become its parameters, positional ones the parameter ``args``.

        With ``_job_id`` and a deferral, a pending job of that id is rescheduled: it takes these parameters
        and this time. One that has started, and has not ended, stays as it is: with the same parameters it
        stands for the call, with others it is a duplicate.

        Returns:
            The job that stands for the call; ``id`` is its id.

        Raises:
            DuplicateJob: With ``_job_id`` and a deferral: the job of that id has ended (``reason`` is
                ``"job_ended"``), or has started with other parameters. No job runs for this call.
            RRQError: As :meth:`AsyncProducer.enqueue`.
        """
        if args and "args" in kwargs:
            raise InvalidJob(
                "args", "positional arguments travel under this name; rename the keyword argument"
            )
        job = Job(
            function_name,
            {"args": list(args), **kwargs} if args else kwargs,
            queue_name=_queue_name,
            job_id=_job_id,
            unique_key=_unique_key,
            unique_ttl_seconds=_unique_ttl_seconds,
            max_retries=_max_retries,
            job_timeout_seconds=_job_timeout_seconds,
            result_ttl_seconds=_result_ttl_seconds,
            defer_by=_defer_by,
            defer_until=_defer_until,
            trace_context=_trace_context,
        )
        deferred = _defer_by is not None or _defer_until is not None
        if _job_id is not None and deferred:
            return await self._producer.enqueue_job(job, reschedule())
        return await self._producer.enqueue_job(job)

    async def wait(self, job_id: str, timeout: float | timedelta | None = None) -> JobResult:
        """See :meth:`AsyncProducer.wait`."""
        return await self._producer.wait(job_id, timeout)

    async def get_job_status(self, job_id: str) -> JobResult | None:
        """See :meth:`AsyncProducer.get_job_status`."""
        return await self._producer.get_job_status(job_id)

    async def close(self) -> None:
        """Close all connections."""
        await self._producer.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._producer.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._producer.aclose()
