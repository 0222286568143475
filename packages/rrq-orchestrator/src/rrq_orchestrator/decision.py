"""What becomes of an attempt: pure and total (ARCHITECTURE.md, step 5; REDIS_SCHEMA.md *Rules of the public
line*).

``decide`` looks at how the attempt ended, and at nothing else: no clock, no Redis, no process. Its answer is
a :class:`Decision`, which the dispatcher turns into a settlement.

=====================================  ====================================================================
the attempt ended with                 decision
=====================================  ====================================================================
success                                complete
retry, error                           retry; dead letter when the attempts are spent
retry with a delay                     the same, after that delay, clamped to the longest one
timeout, or its deadline passed        dead letter, or as an error (``timeout_policy``)
unknown handler                        dead letter, or as an error (``unknown_handler_policy``)
another error that cannot be cured,    dead letter
or that its runner calls fatal
busy                                   release: not the job's fault
cancelled, and asked for               cancel
cancelled, but not asked for           crash
runner crashed, or broke the protocol  crash: counted apart; dead letter after ``max_crashes``
the same, with several attempts in it  suspect: not counted, but it runs alone next
its process blocked, several in it     suspect as well; run alone, it is judged by its own deadline
external peer without a valid message  release: perhaps it is no runner at all
runner stopped by us                   release
=====================================  ====================================================================
"""

import random
from typing import Literal

import msgspec
from msgspec.structs import replace

from rrq_orchestrator.attempts import Stage
from rrq_orchestrator.runners.base import LostCause
from rrq_protocol import (
    FATAL_CODE,
    ErrorType,
    ExecutionError,
    OutcomeStatus,
    RetryPolicy,
    Settings,
    WireOutcome,
    delay_s,
)
from rrq_protocol.transitions import Charge, ClaimedJob, SettleKind

__all__ = ["Decision", "Lost", "Policy", "Unanswered", "decide"]

_BUSY_PAUSE_MS = 100
# Other jobs go first: one that is answered shows that the peer is a runner.
_UNPROVEN_PAUSE_MS = 1000
_APART_MS = 10_000
"""Suspects that died together, for there is no place where each is alone, start again spread over so long,
the second time over twice that: whoever is not beside the culprit goes through."""
# How runners of the public line say that they are full, which they are at 64 requests: an error without type.
_BUSY_UNTYPED = "Runner busy: too many in-flight requests"


class Policy(msgspec.Struct, frozen=True):
    """The settings that decide; durations in seconds."""

    max_retries: int = 5
    backoff: RetryPolicy = RetryPolicy(5.0, 3600.0)
    timeout_policy: Literal["dlq", "retry"] = "dlq"
    unknown_handler_policy: Literal["dlq", "retry"] = "dlq"
    max_crashes: int = 3

    @classmethod
    def of(cls, settings: Settings) -> "Policy":
        """Return the part of the settings that decides."""
        return cls(
            max_retries=settings.default_max_retries,
            backoff=RetryPolicy(settings.base_retry_delay_seconds, settings.max_retry_delay_seconds),
            timeout_policy=settings.timeout_policy,
            unknown_handler_policy=settings.unknown_handler_policy,
            max_crashes=settings.max_crashes,
        )


class Lost(msgspec.Struct, frozen=True):
    """The runner will never answer; ``cause`` tells whose fault that is, ``shared`` whether other attempts
    were lost with this one.
    """

    cause: LostCause
    detail: str
    shared: bool = False


class Unanswered(msgspec.Struct, frozen=True):
    """The attempt got its cancel frame and the grace, and the runner did not answer. ``shared``: its process
    did nothing any more, perhaps because of another attempt in it.
    """

    shared: bool = False


class Decision(msgspec.Struct, frozen=True):
    """How the attempt is settled.

    Attributes:
        kind: The settlement.
        error: What is stored as the job's error; empty for complete and release.
        error_type: Its type, for the attempts log.
        delay_ms: Until it is due again.
        charge: What a dead letter is charged to.
        outcome: The word for it in the attempts log; empty where nothing is logged.
        reason: Why it is released; empty where its orchestrator leaves.
    """

    kind: SettleKind
    error: str = ""
    error_type: str | None = None
    delay_ms: int = 0
    charge: Charge = Charge.NONE
    outcome: str = ""
    reason: str = ""


def decide(
    job: ClaimedJob, ended: WireOutcome | Lost | Unanswered, stage: Stage, policy: Policy, rng: random.Random
) -> Decision:
    """Return what becomes of an attempt of ``job`` that ended so, while it stood at ``stage``."""
    if isinstance(ended, WireOutcome) and ended.status is OutcomeStatus.SUCCESS:
        return Decision(SettleKind.COMPLETE)
    if stage is Stage.RELEASING:
        return Decision(SettleKind.RELEASE)
    if stage is Stage.DISOWNED:
        return Decision(SettleKind.RELEASE, reason="Redis does not know its orchestrator any more")
    if stage is Stage.CANCELLING:
        return Decision(SettleKind.CANCEL, "cancelled", ErrorType.CANCELLED)
    if not job.suspect and _stood_still(ended):
        return _suspect("its runner process did nothing any more, with several jobs in it")
    if stage is Stage.TIMING_OUT or isinstance(ended, Unanswered):
        return _timed_out(job, policy, rng)
    if isinstance(ended, Lost):
        if ended.cause in (LostCause.STOPPED, LostCause.BLOCKED):
            return Decision(SettleKind.RELEASE, reason=ended.detail)
        if ended.cause is LostCause.UNPROVEN:
            return Decision(SettleKind.RELEASE, delay_ms=_UNPROVEN_PAUSE_MS, reason=ended.detail)
        if ended.shared and not job.suspect:
            return _suspect(ended.detail)
        return _charged(job, ended, policy, rng)
    if ended.status is OutcomeStatus.TIMEOUT:
        error = ended.error or ExecutionError("")
        return _timed_out(job, policy, rng, error.message, fatal=error.is_fatal)
    return _failed(job, ended, policy, rng)


def _stood_still(ended: WireOutcome | Lost | Unanswered) -> bool:
    """Whether the attempt may have got nowhere because of another one in its process (F74)."""
    if isinstance(ended, Unanswered):
        return ended.shared
    return isinstance(ended, Lost) and ended.cause is LostCause.BLOCKED


def _suspect(detail: str) -> Decision:
    # Any of them may have done it. Run alone, the one that does it again is known (6.6).
    return Decision(SettleKind.SUSPECT, detail, "crash", outcome="crash")


def _charged(job: ClaimedJob, lost: Lost, policy: Policy, rng: random.Random) -> Decision:
    decision = _crashed(job, lost.detail, policy, rng)
    if not lost.shared or decision.kind is not SettleKind.CRASH:
        return decision
    apart_ms = round(rng.uniform(0, _APART_MS * (job.crash_count + 1)))
    return replace(decision, delay_ms=decision.delay_ms + apart_ms)


def _failed(job: ClaimedJob, ended: WireOutcome, policy: Policy, rng: random.Random) -> Decision:
    error = ended.error
    kind = error.type if error is not None else None
    text = _text(error.message if error is not None else "", kind)
    if ended.status is OutcomeStatus.RETRY:
        return _retry(job, text, kind, policy, rng, ended.retry_after_seconds)
    if kind == ErrorType.BUSY or (kind is None and text == _BUSY_UNTYPED):
        return Decision(SettleKind.RELEASE, delay_ms=_BUSY_PAUSE_MS, reason="the runner was busy")
    if kind == ErrorType.CANCELLED:
        return _crashed(job, "the runner cancelled the attempt by itself", policy, rng)
    unknown = kind == ErrorType.HANDLER_NOT_FOUND
    fatal = policy.unknown_handler_policy == "dlq" if unknown else error is not None and error.is_fatal
    if fatal:
        if error is not None and error.code == FATAL_CODE:
            # Else one would wonder why there were fewer attempts than the job allows.
            text = f"{text} (its handler allows no other attempt)"
        return Decision(SettleKind.FAIL, text, kind, charge=Charge.RETRY, outcome="failed")
    return _retry(job, text, kind, policy, rng)


def _retry(
    job: ClaimedJob,
    text: str,
    kind: str | None,
    policy: Policy,
    rng: random.Random,
    asked_s: float | None = None,
    outcome: str = "retry",
) -> Decision:
    attempt = job.current_retries + 1
    allowed = policy.max_retries if job.max_retries is None else job.max_retries
    if attempt >= allowed:
        last = "failed" if outcome == "retry" else outcome
        return Decision(SettleKind.FAIL, text, kind, charge=Charge.RETRY, outcome=last)
    if asked_s is None:
        pause_s = delay_s(attempt, policy.backoff, rng)
    else:
        pause_s = min(max(asked_s, 0.0), policy.backoff.cap_s)
    return Decision(SettleKind.RETRY, text, kind, delay_ms=round(pause_s * 1000), outcome=outcome)


def _timed_out(
    job: ClaimedJob, policy: Policy, rng: random.Random, said: str = "", *, fatal: bool = False
) -> Decision:
    limit = "" if job.timeout_seconds is None else f" after {job.timeout_seconds:g} s"
    # A runner that ended the attempt itself tells by which limit: a handler may have a shorter one.
    text = (
        f"timed out: {said}" if said and not said.startswith("the deadline passed") else f"timed out{limit}"
    )
    if policy.timeout_policy == "retry" and not fatal:
        return _retry(job, text, ErrorType.TIMEOUT, policy, rng, outcome="timeout")
    return Decision(SettleKind.FAIL, text, ErrorType.TIMEOUT, charge=Charge.RETRY, outcome="timeout")


def _crashed(job: ClaimedJob, detail: str, policy: Policy, rng: random.Random) -> Decision:
    crashes = job.crash_count + 1
    if crashes >= policy.max_crashes:
        text = f"runner crashed {crashes} times while running this job; the last time: {detail}"
        return Decision(SettleKind.FAIL, text, "crash", charge=Charge.CRASH, outcome="crash")
    # The first crash may be anybody's fault: at once. After that the job is given distance to its neighbours.
    pause_s = 0.0 if crashes == 1 else delay_s(crashes - 1, policy.backoff, rng)
    return Decision(SettleKind.CRASH, detail, "crash", delay_ms=round(pause_s * 1000), outcome="crash")


_OWN_TYPES = frozenset(ErrorType)


def _text(message: str, kind: str | None) -> str:
    """Return the error text as it is stored: an exception's type in front, unless it is one of our own words
    for it.
    """
    if not message:
        return kind or "the handler failed without a message"
    return message if kind is None or kind in _OWN_TYPES or message.startswith(kind) else f"{kind}: {message}"
