"""Runs requests on the handlers of a registry: every transport, and in-process use, goes through here."""

import asyncio
import os
import time
from contextlib import suppress
from random import Random
from time import monotonic

from rrq_protocol import ExecutionOutcome, ExecutionRequest
from rrq_runner.context import State
from rrq_runner.execution import NEVER, Deliver, Execution, Reason
from rrq_runner.registry import Registry
from rrq_runner.threads import HandlerThreads, default_limit


class Engine:
    """Executes requests concurrently on the running event loop.

    It owns the tasks and threads of all executions; whoever makes one calls :meth:`stop` before the loop
    ends.

    Args:
        registry: The handlers.
        state: What handlers find as ``ctx.state``.
        threads: Most plain functions at a time.
        random: Source of the jitter of handlers' own retry delays.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        state: State | None = None,
        threads: int | None = None,
        random: Random | None = None,
    ) -> None:
        self.registry = registry
        self.state: State = {} if state is None else state
        self.loop = asyncio.get_running_loop()
        self.pid = os.getpid()
        self.random = random or Random()
        self.threads = HandlerThreads(threads or default_limit(), self.loop)
        self._running: set[Execution] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER
        self._hurried = False
        self._grace: asyncio.Timeout | None = None

    @property
    def running(self) -> int:
        """How many handlers have not ended."""
        return len(self._running)

    def start(self, request: ExecutionRequest, deliver: Deliver) -> Execution | None:
        """Execute ``request`` and call ``deliver(outcome)`` exactly once, perhaps before this returns.

        Returns:
            The execution, to cancel it; None if it is over already.
        """
        handler = self.registry.find(request.function_name)
        if handler is None:
            message = self.registry.explain_missing(request.function_name)
            deliver(ExecutionOutcome.handler_not_found(request.job_id, request.request_id, message))
            return None
        deadline_at = NEVER
        if request.context.deadline is not None:
            # A wall-clock instant of the orchestrator's host; from here on only the monotonic clock counts.
            left_s = request.context.deadline.timestamp() - time.time()
            if left_s <= 0:
                deliver(
                    ExecutionOutcome.timeout(
                        request.job_id, request.request_id, "the deadline passed before the start"
                    )
                )
                return None
            deadline_at = monotonic() + left_s
        execution = Execution(self, handler, request, self.state, deliver, deadline_at)
        self._running.add(execution)
        execution.start()
        if not execution.running:
            return None
        if execution.expires_at < self._timer_at:
            self._arm(execution.expires_at)
        return execution

    async def execute(self, request: ExecutionRequest) -> ExecutionOutcome:
        """Execute ``request`` and return its outcome.

        Cancelling this cancels the handler, and waits for its end; cancelling it again does not wait.
        """
        ended: asyncio.Future[ExecutionOutcome] = self.loop.create_future()

        def deliver(outcome: ExecutionOutcome) -> None:
            if not ended.done():
                ended.set_result(outcome)

        execution = self.start(request, deliver)
        if execution is not None:
            try:
                # Unlike awaiting the future, this can be cancelled without it.
                await asyncio.wait([ended])
            except asyncio.CancelledError:
                execution.cancel("cancelled")
                await asyncio.wait([ended])
                raise
        return ended.result()

    def ended(self, execution: Execution) -> None:
        """Forget an execution whose handler has ended; called by it."""
        self._running.discard(execution)
        if not self._running:
            self._idle.set()

    def cancel_all(self, reason: Reason, *, at_once: bool = False) -> None:
        """Ask every handler to stop (see :meth:`Execution.cancel`)."""
        for execution in tuple(self._running):
            execution.cancel(reason, at_once=at_once)

    async def wait_idle(self) -> None:
        """Wait until no handler runs."""
        if self._running:
            self._idle.clear()
            await self._idle.wait()

    async def stop(self, grace_s: float, cancel_grace_s: float) -> bool:
        """Let handlers end, then cancel them, then give up on them.

        Args:
            grace_s: How long they may go on; :meth:`hurry` cuts it short.
            cancel_grace_s: How long they may take to clean up once cancelled.

        Returns:
            True if every handler has ended. False if some were abandoned; their requests are answered all the
            same.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(0 if self._hurried else grace_s) as self._grace:
                await self.wait_idle()
        self._grace = None
        self.cancel_all("shutdown")
        with suppress(TimeoutError):
            async with asyncio.timeout(cancel_grace_s):
                await self.wait_idle()
        self.cancel_all("shutdown", at_once=True)
        if self._timer is not None:
            self._timer.cancel()
        idle = not self._running
        return self.threads.close(timeout_s=1.0 if idle else 0.0) and idle

    def hurry(self) -> None:
        """Cut the grace of :meth:`stop` short, now or when it begins."""
        self._hurried = True
        if self._grace is not None and not self._grace.expired():  # an expired one cannot be moved
            self._grace.reschedule(self.loop.time())

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self.loop.call_later(max(at - monotonic(), 0.001), self._expire_due)

    def _expire_due(self) -> None:
        """Stop what is due.

        One timer serves all: in-flight requests are few, timers per request are not free.
        """
        now = monotonic()
        for execution in tuple(self._running):
            if execution.expires_at <= now:
                execution.expire(now)
        self._timer, self._timer_at = None, NEVER
        following = min((each.expires_at for each in self._running), default=NEVER)
        if following < NEVER:
            self._arm(following)
