"""The ``attempts_log`` and ``releases_log`` fields: what a job's failed attempts looked like, and its
starts that were given back; bounded (REDIS_SCHEMA.md). Pure.
"""

import msgspec

from rrq_orchestrator.attempts import Attempt
from rrq_orchestrator.decision import Decision
from rrq_protocol import AttemptEntry, ExecutionError, read_attempts
from rrq_protocol.transitions import SettleKind

__all__ = ["MAX_ERROR_CHARS", "appended", "bounded", "given_back", "traceback_of", "unanswered_claim"]

MAX_ERROR_CHARS = 65_536
_MAX_ENTRIES = 20
_MAX_MESSAGE_CHARS = 2_000
_MAX_TRACEBACK_CHARS = 8_000
_MAX_REASON_CHARS = 200
_encode = msgspec.json.Encoder().encode


def bounded(text: str, limit: int) -> str:
    """Return ``text``, cut in the middle with a marker if it is longer than ``limit`` characters."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def appended(attempt: Attempt, decision: Decision, traceback: str | None, now_ms: int) -> bytes:
    """Return the new log after ``attempt`` ended with ``decision``; the oldest entries go first when it is
    full.
    """
    job = attempt.job
    entry = AttemptEntry(
        attempt=job.current_retries + 1,
        outcome=decision.outcome,
        message=bounded(decision.error, _MAX_MESSAGE_CHARS),
        type=decision.error_type,
        traceback=bounded(traceback, _MAX_TRACEBACK_CHARS) if traceback else None,
        started_at_ms=attempt.started_ms,
        ended_at_ms=now_ms,
        retry_at_ms=now_ms + decision.delay_ms
        if decision.kind in (SettleKind.RETRY, SettleKind.CRASH, SettleKind.SUSPECT)
        else None,
        worker=attempt.owner,
        runner=attempt.runner,
        claim_seq=job.claim_seq,
        trace=attempt.traceparent,
    )
    return _encode((*read_attempts(job.attempts_log), entry)[-_MAX_ENTRIES:])


def given_back(attempt: Attempt, reason: str, now_ms: int) -> bytes:
    """Return the entry of an attempt that is given back uncounted. The script appends it, so that no claim
    has to bring the log along.
    """
    entry = AttemptEntry(
        attempt=attempt.job.current_retries + 1,
        outcome="released",
        message=bounded(reason, _MAX_REASON_CHARS),
        # One that waits for a place of its own has not started.
        started_at_ms=attempt.started_ms or None,
        ended_at_ms=now_ms,
        worker=attempt.owner,
        runner=attempt.runner,
        claim_seq=attempt.job.claim_seq,
    )
    return _encode(entry)


def unanswered_claim(owner: str, retries: bytes | None, claim_seq: int, now_ms: int) -> bytes:
    """Return the entry of a job that was claimed without our knowing it, so that nothing started it.

    ``retries`` is what its record says, which may be anything.
    """
    return _encode(
        AttemptEntry(
            attempt=int(retries) + 1 if retries and retries.isdigit() and len(retries) <= 15 else 1,
            outcome="released",
            message="the answer to its claim was lost",
            ended_at_ms=now_ms,
            worker=owner,
            claim_seq=claim_seq,
        )
    )


def traceback_of(error: ExecutionError | None) -> str | None:
    """Return the traceback that a runner has sent along, if it is one."""
    details = error.details if error is not None else None
    text = details.get("traceback") if isinstance(details, dict) else None
    return text if isinstance(text, str) else None
