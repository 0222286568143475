"""What a handler may know about the attempt it runs."""

from collections.abc import MutableMapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from rrq_protocol import ExecutionContext, ExecutionRequest

State = MutableMapping[str, Any]
"""What the start-up hooks left for the handlers; one mapping per runner process."""


class Context:
    """The attempt a handler runs, given as its first parameter ``ctx``.

    Attributes read like fields; the item form of earlier versions works too: ``ctx["job_id"]``,
    ``ctx["job_try"]`` (the attempt), and every key the start-up hooks put into ``state``.
    """

    __slots__ = ("__weakref__", "_cancelled", "_execution", "function_name", "request_id", "state")

    def __init__(self, request: ExecutionRequest, state: State) -> None:
        self._execution: ExecutionContext = request.context
        self._cancelled = False
        self.request_id: str = request.request_id
        self.function_name: str = request.function_name
        self.state: State = state

    @property
    def job_id(self) -> str:
        """The job; the same for all of its attempts, so it serves as an idempotency key."""
        return self._execution.job_id

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self._execution.attempt

    @property
    def queue_name(self) -> str:
        """The queue the job was taken from."""
        return self._execution.queue_name

    @property
    def enqueue_time(self) -> datetime:
        """When the job was enqueued, in UTC."""
        return self._execution.enqueue_time

    @property
    def deadline(self) -> datetime | None:
        """The instant this attempt is cancelled at, in UTC; None without a limit."""
        return self._execution.deadline

    @property
    def trace_context(self) -> dict[str, str] | None:
        """Tracing headers given by the producer."""
        return self._execution.trace_context

    @property
    def correlation_context(self) -> dict[str, str] | None:
        """Values the orchestrator took from the params for logs and traces."""
        return self._execution.correlation_context

    @property
    def worker_id(self) -> str | None:
        """The orchestrator that sent the request, where it said so."""
        return self._execution.worker_id

    @property
    def cancelled(self) -> bool:
        """True once the attempt should stop: cancelled, past its deadline, or its runner is going away.

        An async handler is told by ``CancelledError``; a plain ``def`` runs in a thread nobody can interrupt
        and should look here between its steps.
        """
        return self._cancelled

    def mark_cancelled(self) -> None:
        """Tell the handler to stop; called by the runner."""
        self._cancelled = True

    def __getitem__(self, key: str) -> Any:
        name = _ITEMS.get(key)
        if name is not None:
            return getattr(self, name)
        return self.state[key]

    def __contains__(self, key: object) -> bool:
        return key in _ITEMS or key in self.state

    def get(self, key: str, default: Any = None) -> Any:
        """Return ``ctx[key]``, or ``default`` where there is no such item."""
        name = _ITEMS.get(key)
        return self.state.get(key, default) if name is None else getattr(self, name)

    def __repr__(self) -> str:
        return f"<Context job_id={self.job_id!r} attempt={self.attempt} function_name={self.function_name!r}>"


_ITEMS = {
    "job_id": "job_id",
    "job_try": "attempt",
    "attempt": "attempt",
    "queue_name": "queue_name",
    "enqueue_time": "enqueue_time",
    "deadline": "deadline",
    "trace_context": "trace_context",
    "correlation_context": "correlation_context",
    "worker_id": "worker_id",
    "request_id": "request_id",
    "function_name": "function_name",
    "cancelled": "cancelled",
    "state": "state",
}

_current: ContextVar[Context | None] = ContextVar("rrq_runner_context", default=None)


def current_context() -> Context | None:
    """Return the context of the attempt this code runs in, or None outside of a handler.

    Meant for log filters and the like, which have no ``ctx`` at hand. Follows ``contextvars``: tasks started
    by the handler see it too.
    """
    return _current.get()


def enter_context(context: Context) -> None:
    """Make ``context`` the current one of this ``contextvars`` context; called by the runner."""
    _current.set(context)
