"""What a runner sends for an outcome that cannot be sent, so that every request is answered (F64, F77)."""

from typing import Final

from rrq_protocol.messages import ErrorType, ExecutionError, ExecutionOutcome, OutcomeStatus

ERROR_TEXT_CHARS: Final = (16 * 1024, 256, 0)
"""How much is kept of each text of an error that would not fit into a frame, tried in this order."""

_CUT_MARK = " [cut]"


def replacement(
    outcome: ExecutionOutcome, job_id: str, problem: str, kind: ErrorType, limit_chars: int
) -> ExecutionOutcome:
    """Return what can be sent for an outcome that cannot: its own error, shortened, or ``problem``."""
    if outcome.error is None:
        error = ExecutionError(message=_sendable(problem, limit_chars), type=kind)
        return ExecutionOutcome(
            job_id=job_id, request_id=outcome.request_id, status=OutcomeStatus.ERROR, error=error
        )
    told = outcome.error
    seconds = outcome.retry_after_seconds
    return ExecutionOutcome(
        job_id=job_id,
        request_id=outcome.request_id,
        status=outcome.status,
        error=ExecutionError(
            message=_sendable(told.message, limit_chars),
            type=None if told.type is None else _sendable(told.type, limit_chars),
            code=None if told.code is None else _sendable(told.code, limit_chars),
        ),
        retry_after_seconds=seconds if seconds is not None and 0 <= seconds < float("inf") else None,
    )


def _sendable(text: object, limit_chars: int) -> str:
    if not isinstance(text, str):
        return f"<{type(text).__name__}>"
    whole = text.encode(errors="backslashreplace").decode()
    return whole if len(whole) <= limit_chars else whole[:limit_chars] + _CUT_MARK
