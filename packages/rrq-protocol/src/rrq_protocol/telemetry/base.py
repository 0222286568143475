"""The interface between RRQ and a tracing library: three spans of a job, and what can be done with one.

==============  ==========  =========================================================================
span            kind        from, to
==============  ==========  =========================================================================
``rrq.enqueue``  producer   the call of the producer; its context travels in the job's trace context
``rrq.job``      consumer   an attempt, from dispatch to its end; child of the enqueue, and linked to
                            the attempt before it
``rrq.runner``   server     the handler; child of the attempt
==============  ==========  =========================================================================

Nothing that a library raises reaches a job: it is logged once, and the span does nothing from then on.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, ClassVar, Literal

from rrq_protocol.job import Job
from rrq_protocol.messages import ExecutionOutcome, ExecutionRequest, OutcomeStatus
from rrq_protocol.telemetry.headers import propagated

__all__ = ["AttributeValue", "Attributes", "Kind", "Span", "Telemetry", "correlated"]

AttributeValue = str | int | float | bool
Attributes = Mapping[str, AttributeValue]
Kind = Literal["producer", "consumer", "server"]

MAX_TEXT_CHARS = 512
"""Texts of attributes and errors are cut here."""
MAX_CORRELATED, MAX_NAME_CHARS, MAX_VALUE_CHARS = 32, 128, 256
"""Of a correlation context, so many entries of such names become attributes; values are cut."""

_log = logging.getLogger("rrq_protocol.telemetry")


class Telemetry(ABC):
    """A tracing library as RRQ sees it. Subclasses say how spans are made; they may raise whatever they
    like.
    """

    name: ClassVar[str]

    def __init__(self) -> None:
        self._told = False

    # What the wheels call.

    def enqueue(self, jobs: Sequence[object], queue: str) -> "Span":
        """Begin the span of an enqueue; child of what is current, or of the trace context given with a
        single job.

        Args:
            jobs: What the caller wants to enqueue, not checked yet.
            queue: The queue of jobs that name none.
        """
        attributes: dict[str, AttributeValue] = {**_MESSAGING, "messaging.operation.type": "send"}
        attributes["messaging.operation.name"] = "enqueue"
        parent = None
        known = [job for job in jobs if isinstance(job, Job)]
        if len(jobs) == 1 and known:
            (job,) = known
            if isinstance(job.trace_context, Mapping):
                parent = job.trace_context
            attributes["rrq.function"] = _text(job.function_name)
        else:
            attributes["messaging.batch.message_count"] = len(jobs)
        queues = {_text(job.queue_name or queue) for job in known}
        if len(queues) == 1:
            attributes["messaging.destination.name"] = queues.pop()
        return self._begin("rrq.enqueue", "producer", parent, None, attributes)

    def job(
        self, trace_context: Mapping[str, str] | None, attributes: Attributes, previous: str | None = None
    ) -> "Span":
        """Begin the span of an attempt.

        Args:
            trace_context: The job's; the attempt is its child, or begins a trace.
            attributes: What is known of the attempt.
            previous: ``traceparent`` of the attempt before this one; the span gets a link to it.
        """
        attributes = {**_MESSAGING, **_PROCESS, **attributes}
        link = None if previous is None else {"traceparent": previous}
        return self._begin("rrq.job", "consumer", trace_context or {}, link, attributes)

    def runner(self, request: ExecutionRequest) -> "Span":
        """Begin the span of a handler."""
        context = request.context
        attributes: dict[str, AttributeValue] = {
            **correlated(context.correlation_context),
            **_MESSAGING,
            **_PROCESS,
            "messaging.destination.name": context.queue_name,
            "messaging.message.id": request.job_id,
            "rrq.function": request.function_name,
            "rrq.attempt": context.attempt,
        }
        return self._begin("rrq.runner", "server", context.trace_context or {}, None, attributes)

    def shutdown(self, timeout_s: float) -> None:
        """Send what has not been sent, for at most about ``timeout_s``; no span is recorded afterwards."""
        with self.harmless("shutdown"):
            self._shutdown(timeout_s)

    @contextmanager
    def harmless(self, doing: str) -> Iterator[None]:
        """Log what a library raises, once, and go on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - no defect of a tracing library may harm a job
            if not self._told:
                self._told = True
                _log.warning("telemetry.failed library=%s doing=%s error=%r", self.name, doing, error)

    def harmlessly(self, doing: str, call: Callable[[], None]) -> Callable[[], None]:
        """Return a function that calls ``call``, whose errors are treated so."""

        def guarded() -> None:
            with self.harmless(doing):
                call()

        return guarded

    def _begin(
        self,
        name: str,
        kind: Kind,
        parent: Mapping[str, str] | None,
        link: Mapping[str, str] | None,
        attributes: Attributes,
    ) -> "Span":
        raw = None
        with self.harmless(name):
            given = None if parent is None else propagated(parent)
            raw = self._start(name, kind, given, link, attributes)
        return Span(self, raw)

    # What a library has to do.

    @abstractmethod
    def _start(
        self,
        name: str,
        kind: Kind,
        parent: Mapping[str, str] | None,
        link: Mapping[str, str] | None,
        attributes: Attributes,
    ) -> Any:
        """Begin a span, not current yet. A ``parent`` of None is what is current; an empty one is none."""

    @abstractmethod
    def _headers(self, span: Any) -> Mapping[str, str]:
        """Return the headers that carry the span's context."""

    @abstractmethod
    def _activate(self, span: Any) -> Callable[[], None]:
        """Make the span current in this ``contextvars`` context; return what takes that back."""

    @abstractmethod
    def _set(self, span: Any, attributes: Attributes) -> None:
        """Add attributes."""

    @abstractmethod
    def _end(self, span: Any, error: str | None, error_type: str | None) -> None:
        """End a span; with a text of an error as a failed one."""

    @abstractmethod
    def _shutdown(self, timeout_s: float) -> None:
        """See :meth:`shutdown`."""


class Span:
    """A span that was begun. Every method is harmless; after :meth:`end` they do nothing."""

    __slots__ = ("_raw", "_telemetry")

    def __init__(self, telemetry: Telemetry, raw: Any) -> None:
        self._telemetry, self._raw = telemetry, raw

    def headers(self) -> dict[str, str]:
        """Return what makes another process's spans children of this one; empty if there is nothing to be a
        child of.
        """
        if self._raw is not None:
            with self._telemetry.harmless("headers"):
                return propagated(self._telemetry._headers(self._raw))
        return {}

    def activate(self) -> Callable[[], None]:
        """Make it current in this ``contextvars`` context, and return what takes that back."""
        if self._raw is not None:
            with self._telemetry.harmless("activate"):
                return self._telemetry.harmlessly("leave", self._telemetry._activate(self._raw))
        return _nothing

    def set(self, attributes: Attributes) -> None:
        """Add attributes."""
        if self._raw is not None:
            with self._telemetry.harmless("attributes"):
                self._telemetry._set(self._raw, attributes)

    def end(self, error: str | None = None, error_type: str | None = None) -> None:
        """End it; with an error's text as a failed one."""
        raw, self._raw = self._raw, None
        if raw is not None:
            with self._telemetry.harmless("end"):
                if error_type:
                    self._telemetry._set(raw, {"error.type": _text(error_type)})
                self._telemetry._end(raw, None if error is None else _text(error), error_type)

    def end_with(self, outcome: ExecutionOutcome) -> None:
        """End it as a handler's outcome says. A retry that the handler asked for is no error, one after an
        exception is."""
        self.set({"rrq.outcome": str(outcome.status)})
        error = outcome.error
        asked = outcome.status is OutcomeStatus.RETRY and (error is None or error.type is None)
        if outcome.status is OutcomeStatus.SUCCESS or asked:
            self.end()
        else:
            self.end(error.message if error is not None else "", error.type if error is not None else None)


def correlated(context: Mapping[str, str] | None) -> dict[str, AttributeValue]:
    """Return a correlation context as attributes, within bounds: whoever can write a job can write one."""
    if not context:
        return {}
    fitting = ((name, value) for name, value in context.items() if 0 < len(name) <= MAX_NAME_CHARS)
    return {name: value[:MAX_VALUE_CHARS] for name, value in islice(fitting, MAX_CORRELATED)}


def _nothing() -> None:
    pass


def _text(value: object) -> str:
    return value[:MAX_TEXT_CHARS] if isinstance(value, str) else type(value).__name__


_MESSAGING: Attributes = {"messaging.system": "rrq"}
_PROCESS: Attributes = {"messaging.operation.type": "process", "messaging.operation.name": "process"}
