"""The blocking producer: :mod:`rrq_producer.aio` without ``await``."""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, Unpack

from rrq_producer.attempts import MAX_ATTEMPT_S
from rrq_producer.base import ProducerBase, cancelled, certain, checked_id, unlimited, wait_arguments
from rrq_producer.bulk import Bulk
from rrq_producer.checks import checked_jobs
from rrq_producer.durability import Confirmation, Durability, Witness
from rrq_producer.errors import ProducerClosed, RedisError, RedisRefused, RedisUnavailable, name_unsure
from rrq_producer.faults import exchange_errors
from rrq_producer.jobs import (
    EnqueuedJob,
    JobOptions,
    debounce,
    debounced,
    job_of,
    rate_limit,
    read_single,
)
from rrq_producer.listener import Listener
from rrq_producer.packing import pack
from rrq_producer.pool import BlockingPool
from rrq_producer.results import Waiting, read_status, status_command
from rrq_producer.tracing import enqueueing, told
from rrq_protocol import Job, JobResult
from rrq_protocol.telemetry import active
from rrq_protocol.transitions import CancelReply, Guard

__all__ = ["Producer"]


class Producer(ProducerBase):
    """Enqueues jobs from blocking code; the same methods as :class:`rrq_producer.AsyncProducer`, without
    ``await``.

    Every call is repeated, with the same job, while Redis cannot be reached, for ``timeout_seconds`` in all;
    one enqueue makes at most one job. Several threads may use one producer, and so may a forked child: it
    opens connections of its own. Close it with :meth:`close`, or use it in ``with``.
    """

    def _open(self, connections: int) -> None:
        limit_s = min(MAX_ATTEMPT_S, self._timeout_s)
        self._pool = BlockingPool(self._address, connections, limit_s)
        # Waiting has connections of its own, so that waiters never hold up an enqueue.
        self._listener = Listener(self._address)

    def enqueue(
        self,
        function_name: str,
        params: Mapping[str, Any] | None = None,
        *,
        durability: str | None = None,
        **options: Unpack[JobOptions],
    ) -> EnqueuedJob:
        """Enqueue one job.

        Args:
            function_name: The handler's name; ``runner#handler`` names its runner too.
            params: What the handler's parameters are bound from: names to values with a JSON form.
            durability: What to wait for after the job was accepted, instead of what the producer was made
                with: ``"memory"``, ``"fsync"`` or ``"replicas:N"``.
            options: See :class:`rrq_protocol.Job`.

        Returns:
            The job that stands for the call, and whether the call created it.

        Raises:
            InvalidJob: Something is wrong with the job; the text names the field.
            DuplicateJob: The id belongs to a job with other content; with ``on_conflict="raise"`` any
                duplicate.
            QueueFull: Redis has no memory left.
            RedisUnavailable: Redis could not be used; ``unknown`` on the error holds the id of the job if it
                may have been created all the same.
            DurabilityNotConfirmed: The job is written, but not confirmed to be as safe as asked for.
        """
        return self.enqueue_job(job_of(function_name, params, options), durability=durability)

    def enqueue_job(
        self, job: Job, guard: Guard | None = None, *, durability: str | None = None
    ) -> EnqueuedJob:
        """Enqueue one job that was put together before.

        Args:
            job: The job.
            guard: A condition beside the unique key, such as ``Guard("reschedule")``; not a rate limit.
            durability: As :meth:`enqueue`.

        Raises:
            RRQError: As :meth:`enqueue`.
        """
        return certain(self._enqueue(job, unlimited(guard), self._wanted(durability)))

    def enqueue_many(self, jobs: Iterable[Job], *, durability: str | None = None) -> list[EnqueuedJob]:
        """Enqueue many jobs, some hundred per round trip; all are checked before any is sent.

        Args:
            jobs: The jobs.
            durability: As :meth:`enqueue`, waited for once per round trip.

        Returns:
            The outcome of each, in order.

        Raises:
            InvalidJob: A job is wrong, the text names its position; nothing was sent.
            DuplicateJob: As :meth:`enqueue`; it says what became of each job.
            WrongKeyType: Likewise.
            QueueFull: Redis has no memory left. Nothing further was sent; ``outcomes`` on the error says what
                became of each job, ``accepted`` holds those that were accepted.
            RedisRefused: Likewise; Redis would not take a job.
            RedisUnavailable: Likewise; ``unknown`` holds position and id of the jobs whose answer was lost.
            DurabilityNotConfirmed: All jobs are written, but not all confirmed to be as safe as asked for.
        """
        witness = Witness(self._wanted(durability))
        if (telemetry := active()) is None:
            return self._enqueue_all(self._bulk(jobs), witness)
        with enqueueing(telemetry, checked_jobs(jobs), self._rules.defaults.queue_name) as (carrying, _):
            return self._enqueue_all(self._bulk(carrying), witness)

    def _enqueue_all(self, bulk: Bulk, witness: Witness) -> list[EnqueuedJob]:
        try:
            while part := bulk.next():
                if not witness.asks() and self._script_known and len(bulk.pending) > 1:
                    self._send_ahead(bulk)
                    if (part := bulk.next()) is None:
                        break
                confirmation = witness.next(self._rules.stats_key(part.chunk.jobs[0]))
                try:
                    reply, repeated = self._send(part.chunk.evalsha(), part.chunk.eval, confirmation)
                except RedisRefused as error:
                    witness.refused()
                    bulk.refused(part, error)
                else:
                    bulk.answered(part, reply, repeated=repeated)
                    self._script_known = True
            return witness.confirmed(bulk.result(), self._address.display)
        except (RedisError, ProducerClosed) as error:
            bulk.tell(error)
            raise

    def enqueue_with_rate_limit(
        self,
        function_name: str,
        params: Mapping[str, Any] | None = None,
        *,
        rate_limit_key: str,
        rate_limit_seconds: float | timedelta,
        durability: str | None = None,
        **options: Unpack[JobOptions],
    ) -> EnqueuedJob | None:
        """Enqueue a job unless one of the same key was accepted within the period; then return None.

        Raises:
            RRQError: As :meth:`enqueue`.
        """
        guard = rate_limit(rate_limit_key, rate_limit_seconds)
        return self._enqueue(job_of(function_name, params, options), guard, self._wanted(durability))

    def enqueue_with_debounce(
        self,
        function_name: str,
        params: Mapping[str, Any] | None = None,
        *,
        debounce_key: str,
        debounce_seconds: float | timedelta,
        durability: str | None = None,
        **options: Unpack[JobOptions],
    ) -> EnqueuedJob:
        """Enqueue a job that runs when its key has been quiet for the period; a pending one takes this call's
        parameters and time, and its unique key if it has one.

        Returns:
            The job that stands for the call. It is another one where that holds the unique key and has not
            ended: then the call changed nothing.

        Raises:
            RRQError: As :meth:`enqueue`.
        """
        guard = debounce(debounce_key, debounce_seconds)
        job = debounced(job_of(function_name, params, options), debounce_seconds)
        return certain(self._enqueue(job, guard, self._wanted(durability)))

    def wait(self, job_id: str, timeout: float | timedelta | None = None) -> JobResult:
        """Wait until a job has ended, in whatever way, and return how.

        Args:
            job_id: The job.
            timeout: Seconds to wait, 0 to look once, None to wait as long as it takes, through any outage of
                Redis.

        Raises:
            InvalidName: That can be no job id. ``InvalidArgument``: the time is none.
            WaitTimeout: It has not ended in time; a ``TimeoutError``.
            JobNotFound: There is no such job. ``ResultExpired``: there was, but its record is gone.
            RedisRefused: Redis refuses, and would again.
        """
        job_id, limit_s = wait_arguments(job_id, timeout)
        waiting = Waiting(job_id)
        until = math.inf if limit_s is None else time.monotonic() + limit_s
        if limit_s is not None and limit_s <= 0:
            result = waiting.observe(self.get_job_status(job_id))
        else:
            result = self._until_ended(job_id, waiting, until)
        if result is None:
            raise waiting.timed_out(limit_s or 0.0)
        return result

    def get_job_status(self, job_id: str) -> JobResult | None:
        """Return where a job stands, or None where there is no such job.

        Raises:
            MalformedRecord: Its record cannot be understood.
            RedisUnavailable: Redis could not be used.
        """
        reply, _ = self._send(status_command(self._rules.keyspace, checked_id(job_id)))
        return read_status(reply)

    def cancel(self, job_id: str) -> CancelReply:
        """Cancel a job that waits, or ask the orchestrator that runs it to.

        Returns:
            ``cancelled``, ``requested``, ``finished``: it had ended before, or ``malformed``: a stranger
            wrote its record, with a status that is none.

        Raises:
            JobNotFound: There is no such job.
            RedisUnavailable: Redis could not be used.
        """
        call = self._rules.cancel(checked_id(job_id))
        reply, _ = self._send(pack(call.evalsha_args()), lambda: pack(call.eval_args()))
        return cancelled(job_id, call.result(reply))

    def close(self) -> None:
        """Close all connections; the producer is of no use afterwards."""
        self._listener.close()
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _enqueue(self, job: Job, guard: Guard | None, durability: Durability | None) -> EnqueuedJob | None:
        if (telemetry := active()) is None:
            return self._enqueue_one(job, guard, durability)
        with enqueueing(telemetry, (job,), self._rules.defaults.queue_name) as ((carrying,), span):
            return told(span, self._enqueue_one(carrying, guard, durability))

    def _enqueue_one(
        self, job: Job, guard: Guard | None, durability: Durability | None
    ) -> EnqueuedJob | None:
        chunk = self._rules.single(job, guard)
        asked = None if durability is None else Confirmation(durability, self._rules.stats_key(job))
        try:
            reply, repeated = self._send(chunk.evalsha(), chunk.eval, asked)
        except RedisError as error:
            name_unsure(error, chunk.records[0].job_id)
            raise
        accepted = read_single(chunk, reply, repeated=repeated)
        if asked is not None and asked.missed and accepted is not None:
            raise asked.error(self._address.display, accepted)
        return accepted

    def _send(
        self,
        command: bytes,
        with_script: Callable[[], bytes] | None = None,
        confirmation: Confirmation | None = None,
        *,
        limit_s: float = math.inf,
    ) -> tuple[object, bool]:
        """Return the reply, and whether an earlier attempt may have had the command's effect."""
        attempts = self._attempts(limit_s)
        while True:
            if confirmation is not None:
                confirmation.restart()
            try:
                return self._pool.call(command, attempts, confirmation), attempts.repeated
            except exchange_errors() as error:
                pause_s = attempts.pause_after(error)
            if attempts.script_missing and with_script is not None:
                command = with_script()
            time.sleep(pause_s)

    def _send_ahead(self, bulk: Bulk) -> None:
        """Send parts without waiting for each reply, until all are done or something goes wrong.

        What goes wrong is not dealt with here: the caller sends the next part on its own, with all care.
        """
        attempts, ahead = self._attempts(), bulk.sending_ahead()

        def take(reply: object) -> None:
            attempts.progressed()
            ahead.answered(reply)

        try:
            self._pool.pipeline(ahead.commands(), attempts, take)
        except exchange_errors():
            ahead.lost()

    def _until_ended(self, job_id: str, waiting: Waiting, until: float) -> JobResult | None:
        """Return the result, or None when the time is up; ``until`` is on the monotonic clock."""
        command = status_command(self._rules.keyspace, job_id)
        with self._listener.subscribed(self._rules.keyspace.channel(job_id)) as signal:
            while (left_s := until - time.monotonic()) > 0:
                signal.next(min(left_s, waiting.pause_s()))
                if signal.status is not None:
                    waiting.announced(signal.status)
                try:
                    reply, _ = self._send(command, limit_s=until - time.monotonic())
                except RedisRefused:
                    raise
                except RedisUnavailable:
                    continue
                if (result := waiting.observe(read_status(reply))) is not None:
                    return result
        return None
