"""One request, driven to exactly one outcome.

Theory of operation
-------------------
An outcome is reported when the handler has *ended*, not when it was asked to. That is what makes the deadline
ladder of the orchestrator work (RUNNER_PROTOCOL.md): a handler that ignores its cancellation, or holds a
thread, leaves its request unanswered, and the orchestrator replaces the process instead of trusting a slot
that is still occupied. Only a cancel request with ``hard_kill`` is answered at once.

An async handler runs in a task of its own, in a copy of the ``contextvars`` context. From Python 3.12 on the
task starts eagerly: a handler that never waits is over before :meth:`Execution.start` returns, without a turn
of the loop. Driving the bare coroutine would be a little faster still, but then ``asyncio.timeout``, task
groups and ``anyio`` would find no current task, or later another one than they had entered with
(docs/write-a-runner.md).
"""

import asyncio
import inspect
import os
import sys
from asyncio import CancelledError, Task
from collections.abc import Callable, Coroutine
from contextvars import Context as VariablesContext
from contextvars import copy_context
from functools import partial
from random import Random
from time import monotonic
from typing import Any, Literal, Protocol

import msgspec

from rrq_protocol import ErrorType, ExecutionError, ExecutionOutcome, ExecutionRequest, OutcomeStatus
from rrq_protocol.telemetry import Span, active
from rrq_runner.context import Context, State, enter_context
from rrq_runner.errors import InvalidParams, RetryJob
from rrq_runner.failures import bounded_message, describe
from rrq_runner.forks import leave_forked_child
from rrq_runner.registry import Handler
from rrq_runner.threads import HandlerThreads, Work

Reason = Literal["cancelled", "timeout", "shutdown"]
Deliver = Callable[[ExecutionOutcome], None]

NEVER = float("inf")

if sys.version_info >= (3, 12):

    def _task(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None], variables: VariablesContext
    ) -> Task[None]:
        return Task(coroutine, loop=loop, context=variables, eager_start=True)

else:

    def _task(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None], variables: VariablesContext
    ) -> Task[None]:
        return Task(coroutine, loop=loop, context=variables)


def given_back(request: ExecutionRequest) -> ExecutionOutcome:
    """Return the outcome of a request this runner ends too early for: "busy" never counts as an attempt."""
    return ExecutionOutcome.failure(
        request.job_id,
        request.request_id,
        "the runner is shutting down",
        type=ErrorType.BUSY,
        code=ErrorType.BUSY,
    )


class Host(Protocol):
    """What an execution needs of the engine that owns it."""

    loop: asyncio.AbstractEventLoop
    threads: HandlerThreads
    pid: int
    random: Random

    def ended(self, execution: "Execution") -> None:
        """Take note that the handler has ended."""


class Execution:
    """One attempt of one handler. Methods are for the loop's thread only.

    Attributes:
        expires_at: Monotonic seconds at which :meth:`expire` is due; :data:`NEVER` without a limit.
        running: True until the handler has ended.
    """

    __slots__ = (
        "_deadline_at",
        "_deliver",
        "_host",
        "_reason",
        "_span",
        "_started",
        "_task",
        "_work",
        "context",
        "expires_at",
        "handler",
        "request",
        "running",
    )

    def __init__(
        self,
        host: Host,
        handler: Handler,
        request: ExecutionRequest,
        state: State,
        deliver: Deliver,
        deadline_at: float,
    ) -> None:
        self._host = host
        self.handler = handler
        self.request = request
        self.context = Context(request, state)
        self._deliver: Deliver | None = deliver
        self._deadline_at = deadline_at
        limit = handler.timeout_s
        self.expires_at = deadline_at if limit is None else min(deadline_at, monotonic() + limit)
        self.running = True
        self._reason: Reason | None = None
        self._started = False
        self._task: Task[None] | None = None
        self._work: Work | None = None
        self._span: Span | None = None

    def start(self) -> None:
        """Begin; a handler that never waits may be over when this returns."""
        variables = copy_context()
        if (telemetry := active()) is not None:
            # Current for the handler only: nothing else runs in these variables.
            self._span = telemetry.runner(self.request)
            variables.run(self._span.activate)
        if self.handler.is_async:
            self._task = _task(self._host.loop, self._run_async(), variables)
        else:
            self._work = self._host.threads.submit(partial(variables.run, self._run_in_thread), self._over)

    def cancel(self, reason: Reason, *, at_once: bool = False) -> None:
        """Ask the handler to stop. Its outcome comes when it has, or now if ``at_once``.

        Later calls do not interrupt its cleaning up again.
        """
        if not self.running:
            return
        if self._reason is None:
            self._reason = reason
            self.expires_at = NEVER
            self.context.mark_cancelled()
            if self._task is not None and self._started:
                self._task.cancel()
            elif self._work is not None and self._host.threads.withdraw(self._work):
                self._over(self._stopped())
                return
        if at_once:
            self._report(self._stopped())

    def expire(self, now: float) -> None:
        """Stop the handler if its time is over, else find out when that will be.

        ``now`` is monotonic seconds.
        """
        limit = self.handler.timeout_s
        if self._work is not None and limit is not None:
            # The handler's own limit counts from when a thread took it up, not from when it was queued.
            begun = now if self._work.started_at is None else self._work.started_at
            self.expires_at = min(self._deadline_at, begun + limit)
        if self.expires_at <= now:
            self.cancel("timeout")

    async def _run_async(self) -> None:
        self._started = True
        if self._reason is not None:  # stopped before its task had its first turn
            self._over(self._stopped())
            return
        enter_context(self.context)
        try:
            result = await self.handler.call(self.request, self.context)
        except BaseException as error:  # noqa: BLE001 - nothing a handler raises may end the runner (F76)
            self._stay_one(error)
            outcome = self._failed(error)
        else:
            self._stay_one()
            outcome = self._succeeded(result)
        self._over(outcome)

    def _run_in_thread(self) -> ExecutionOutcome:
        enter_context(self.context)
        try:
            result = self.handler.call(self.request, self.context)
            if inspect.isawaitable(result):
                if inspect.iscoroutine(result):
                    result.close()
                raise TypeError(f"handler {self.handler.name!r} is no async def, but returned an awaitable")
        except BaseException as error:  # noqa: BLE001 - nothing a handler raises may end the runner (F76)
            self._stay_one(error)
            return self._failed(error)
        self._stay_one()
        return self._succeeded(result)

    def _stay_one(self, error: BaseException | None = None) -> None:
        """Go on only as the runner, not as a child that the handler has forked."""
        if os.getpid() != self._host.pid:
            leave_forked_child(error)

    def _over(self, outcome: ExecutionOutcome) -> None:
        self.running = False
        if self._span is not None:
            self._span.end_with(outcome)
        self._host.ended(self)
        self._report(outcome)

    def _report(self, outcome: ExecutionOutcome) -> None:
        deliver, self._deliver = self._deliver, None
        if deliver is not None:
            deliver(outcome)

    def _succeeded(self, result: Any) -> ExecutionOutcome:
        if self._reason == "timeout":
            return self._stopped()
        request = self.request
        if not isinstance(result, ExecutionOutcome):
            return ExecutionOutcome(
                job_id=request.job_id,
                request_id=request.request_id,
                status=OutcomeStatus.SUCCESS,
                result=result,
            )
        if result.request_id != request.request_id:
            return msgspec.structs.replace(result, request_id=request.request_id)
        return result

    def _failed(self, error: BaseException) -> ExecutionOutcome:
        if self._reason is not None:
            return self._stopped()
        return self._by_policy(self._described(error), error)

    def _by_policy(self, outcome: ExecutionOutcome, error: BaseException | None = None) -> ExecutionOutcome:
        retry = self.handler.retry
        if retry is None:
            return outcome
        return retry.applied(outcome, error, self.request.context.attempt, self._host.random)

    def _described(self, error: BaseException) -> ExecutionOutcome:
        job_id, request_id = self.request.job_id, self.request.request_id
        if isinstance(error, RetryJob):
            message = bounded_message(error.message) or "the handler asked for another attempt"
            return ExecutionOutcome.retry_after(job_id, request_id, message, error.defer_seconds)
        if isinstance(error, InvalidParams):
            described = ExecutionError(
                message=bounded_message(str(error)),
                type=ErrorType.INVALID_PARAMS,
                details={"field": error.field},
            )
        elif isinstance(error, CancelledError):
            described = ExecutionError(
                message="the handler was cancelled from inside: nobody cancelled the job",
                type="asyncio.CancelledError",
            )
        else:
            described = describe(error)
        return ExecutionOutcome(
            job_id=job_id, request_id=request_id, status=OutcomeStatus.ERROR, error=described
        )

    def _stopped(self) -> ExecutionOutcome:
        job_id, request_id = self.request.job_id, self.request.request_id
        if self._reason == "shutdown":
            return given_back(self.request)
        if self._reason == "timeout":
            limit = self.handler.timeout_s
            if limit is None or monotonic() >= self._deadline_at:
                return self._by_policy(ExecutionOutcome.timeout(job_id, request_id))
            message = f"the handler's timeout of {limit:g} s passed"
            return self._by_policy(ExecutionOutcome.timeout(job_id, request_id, message))
        return ExecutionOutcome.cancelled(job_id, request_id)
