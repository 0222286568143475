"""What the log says of an attempt that ended without success."""

from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.attempts import Attempt, Stage
from rrq_orchestrator.decision import Decision
from rrq_orchestrator.history import bounded
from rrq_protocol.transitions import SettleKind

__all__ = ["tell"]

_LOGGED_CHARS = 500
_EVENTS = {
    SettleKind.RETRY: "job.retried",
    SettleKind.FAIL: "job.dead_lettered",
    SettleKind.RELEASE: "job.released",
    SettleKind.CRASH: "job.crashed",
    SettleKind.SUSPECT: "job.suspected",
    SettleKind.CANCEL: "job.cancelled",
}


def tell(log: FilteringBoundLogger, attempt: Attempt, decision: Decision) -> None:
    """Log an end that is no success; those are for the counters, at many thousands a second.

    Of one whose job was taken away, only that it ended here: what becomes of the job is told by others.
    """
    report = log.warning if decision.kind is SettleKind.FAIL else log.info
    job = attempt.job
    report(
        "job.given_up" if attempt.stage is Stage.DISOWNED else _EVENTS[decision.kind],
        job_id=job.id,
        function=job.function_name,
        queue=job.queue,
        attempt=job.current_retries + 1,
        error=bounded(decision.error, _LOGGED_CHARS),
        delay_s=decision.delay_ms / 1000,
        **({"correlation": job.correlation_context} if job.correlation_context else {}),
    )
