"""What the log says of attempts: of those that ended without success, and, to a developer, of each one."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.attempts import Attempt, Stage
from rrq_orchestrator.decision import Decision
from rrq_orchestrator.history import bounded
from rrq_protocol.transitions import SettleKind

__all__ = ["Narrator", "tell"]

_LOGGED_CHARS = 500
_SHOWN: Final = 60
_EVENTS = {
    SettleKind.RETRY: "job.retried",
    SettleKind.FAIL: "job.dead_lettered",
    SettleKind.RELEASE: "job.released",
    SettleKind.CRASH: "job.crashed",
    SettleKind.SUSPECT: "job.suspected",
    SettleKind.CANCEL: "job.cancelled",
}


def tell(log: FilteringBoundLogger, attempt: Attempt, decision: Decision, released: str = "") -> None:
    """Log an end that is no success; those are for the counters, at many thousands a second.

    Of one whose job was taken away, only that it ended here: what becomes of the job is told by others. Of
    one that is given back, why: ``released``.
    """
    report = log.warning if decision.kind is SettleKind.FAIL else log.info
    job = attempt.job
    report(
        "job.given_up" if attempt.stage is Stage.DISOWNED else _EVENTS[decision.kind],
        job_id=job.id,
        function=job.function_name,
        queue=job.queue,
        attempt=job.current_retries + 1,
        **({"reason": released} if released else {"error": bounded(decision.error, _LOGGED_CHARS)}),
        delay_s=decision.delay_ms / 1000,
        **({"correlation": job.correlation_context} if job.correlation_context else {}),
    )


class Narrator:
    """Tells of each start and each success, which is for a developer's eyes: there is none in production.

    Args:
        report: The method of the logger that takes it.
    """

    def __init__(self, report: Callable[..., Any]) -> None:
        self._report = report

    def started(self, attempt: Attempt) -> None:
        """Tell that a runner has it, and how long the job had been due."""
        waited_s = max(0.0, attempt.started_ms - attempt.job.due_ms) / 1000
        self._say("job.started", attempt, {"waited_s": round(waited_s, 3)})

    def completed(self, attempt: Attempt, result: bytes, run_ms: int) -> None:
        """Tell how long it took, and the result or what it begins with; no result is none to tell."""
        told = {} if result in (b"", b"null") else {"result": _shortened(result)}
        self._say("job.completed", attempt, {"took_s": run_ms / 1000}, told)

    def _say(
        self, event: str, attempt: Attempt, time: dict[str, float], told: dict[str, Any] | None = None
    ) -> None:
        job = attempt.job
        number = {"attempt": job.current_retries + 1} if job.current_retries else {}
        correlation = {"correlation": job.correlation_context} if job.correlation_context else {}
        self._report(
            event,
            function=job.function_name,
            **time,
            job_id=job.id,
            queue=job.queue,
            **number,
            **correlation,
            **(told or {}),
        )


def _shortened(result: bytes) -> Any:
    """Return a result as a value, a long one as the text it begins with."""
    if len(result) > _SHOWN:
        text = result[:_SHOWN].decode("utf-8", "ignore").removeprefix('"')
        return f"{text}… ({len(result):,} bytes)"
    try:
        return msgspec.json.decode(result)
    except (msgspec.DecodeError, RecursionError):
        return result
