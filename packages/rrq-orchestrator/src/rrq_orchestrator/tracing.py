"""The span of an attempt, from dispatch to its end; only where telemetry is on.

The runner's spans become children of it, so the request carries its context in place of the job's. Its
``traceparent`` goes into the job's log of attempts, from where the next attempt, perhaps on another host,
takes it for a link.
"""

import msgspec

from rrq_orchestrator.attempts import Attempt
from rrq_orchestrator.decision import Decision
from rrq_protocol import read_attempts
from rrq_protocol.telemetry import (
    ALLOWED_HEADERS,
    Attributes,
    AttributeValue,
    Telemetry,
    active,
    correlated,
)
from rrq_protocol.transitions import SettleKind

__all__ = ["AttemptTracing"]

_FAILURES = frozenset({SettleKind.FAIL, SettleKind.CRASH, SettleKind.SUSPECT})
_TEXTS = msgspec.json.Decoder(dict[str, str])
_encode = msgspec.json.Encoder().encode


class AttemptTracing:
    """Begins and ends the spans of attempts."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    @classmethod
    def if_enabled(cls) -> "AttemptTracing | None":
        """Return one where this process has switched telemetry on, else None."""
        telemetry = active()
        return None if telemetry is None else cls(telemetry)

    def begin(self, attempt: Attempt) -> None:
        """Begin the span of an attempt that is about to be handed over, and put its context into the
        attempt.
        """
        job = attempt.job
        given = {} if job.trace_context is None else _TEXTS.decode(job.trace_context)
        attempts = read_attempts(job.attempts_log)
        previous = attempts[-1].trace if attempts else None
        span = attempt.span = self._telemetry.job(given, _attributes(attempt), previous)
        headers = span.headers()
        if headers:
            others = {name: value for name, value in given.items() if name.lower() not in ALLOWED_HEADERS}
            attempt.trace_context = msgspec.Raw(_encode({**others, **headers}))
            attempt.traceparent = headers.get("traceparent")

    def end(self, attempt: Attempt, decision: Decision) -> None:
        """End the span of an attempt, if it has one; as a failed one where the job or its runner failed."""
        span, attempt.span = attempt.span, None
        if span is None:
            return
        outcome: dict[str, AttributeValue] = {"rrq.outcome": str(decision.kind)}
        if decision.delay_ms:
            outcome["rrq.retry_delay_s"] = decision.delay_ms / 1000
        span.set(outcome)
        # A retry without a type is one that the handler asked for: no failure.
        failed = decision.kind in _FAILURES or (
            decision.kind is SettleKind.RETRY and decision.error_type is not None
        )
        if failed:
            span.end(decision.error, decision.error_type)
        else:
            span.end()


def _attributes(attempt: Attempt) -> Attributes:
    job = attempt.job
    return {
        **correlated(job.correlation_context),
        "messaging.destination.name": job.queue,
        "messaging.message.id": job.id,
        "rrq.function": job.function_name,
        "rrq.attempt": job.current_retries + 1,
        "rrq.runner": attempt.runner,
        "rrq.worker_id": attempt.owner,
    }
