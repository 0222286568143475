"""The attempts this orchestrator holds: one entry per job in a runner's hands, no task and no future each."""

from collections.abc import Iterator
from enum import Enum
from typing import Final

from rrq_protocol import ABSENT, ErrorType, ExecutionError, OutcomeStatus, WireOutcome
from rrq_protocol.telemetry import Span
from rrq_protocol.transitions import ClaimedJob

__all__ = ["Attempt", "AttemptTable", "Stage"]


_FOREWARNED: Final = 10_000
"""Cancels kept for attempts to come, the newest; most were for attempts that had just ended."""


class Stage(Enum):
    """Where an attempt stands. Every stage ends in exactly one settlement."""

    WAITING = "waiting"
    """It has to run alone, and waits for a process of its own. Its time has not started."""
    RUNNING = "running"
    TIMING_OUT = "timing_out"
    """The deadline passed; a cancel frame was sent and the grace runs."""
    CANCELLING = "cancelling"
    """Somebody asked to cancel the job; a cancel frame was sent and the grace runs."""
    RELEASING = "releasing"
    """The attempt is to be given back uncounted: shutdown."""
    DISOWNED = "disowned"
    """This orchestrator was fenced: the job is another one's by now, or will be. Nothing is given back unless
    nobody has taken it yet."""


class Attempt:
    """One execution: a claimed job, and when it was handed to which runner.

    All fields are written in the event loop, by the dispatcher only. ``started_s`` and ``deadline_s`` are
    monotonic seconds, ``started_ms`` is epoch ms; they hold from :meth:`start` on.
    """

    __slots__ = (
        "deadline_s",
        "handler",
        "job",
        "owner",
        "request_id",
        "runner",
        "span",
        "stage",
        "started_ms",
        "started_s",
        "timeout_s",
        "trace_context",
        "traceparent",
    )

    def __init__(self, job: ClaimedJob, owner: str, runner: str, handler: str, timeout_s: float) -> None:
        self.job, self.owner, self.runner, self.handler = job, owner, runner, handler
        self.timeout_s = timeout_s
        self.request_id = f"{job.id}.{job.claim_seq}"
        # With telemetry the runner gets the attempt's context in place of the job's.
        self.trace_context = ABSENT if job.trace_context is None else job.trace_context
        self.span: Span | None = None
        self.traceparent: str | None = None
        self.wait()

    def failure(self, message: str, kind: ErrorType) -> WireOutcome:
        """Return the outcome of an attempt that fails without its runner's doing."""
        error = ExecutionError(message=message, type=kind)
        return WireOutcome(
            job_id=self.job.id, request_id=self.request_id, status=OutcomeStatus.ERROR, error=error
        )

    def wait(self) -> None:
        """Take back its start: it waits for a place of its own."""
        self.stage = Stage.WAITING
        self.started_s, self.started_ms, self.deadline_s = float("inf"), 0, float("inf")

    def start(self, now_s: float, now_ms: int) -> None:
        """Let its time run."""
        self.stage = Stage.RUNNING
        self.started_s, self.started_ms, self.deadline_s = now_s, now_ms, now_s + self.timeout_s


class AttemptTable:
    """Attempts by request id. ``next_deadline_s`` is a lower bound of the earliest deadline, infinity when
    there is none.
    """

    def __init__(self) -> None:
        self._by_request: dict[str, Attempt] = {}
        self._unwanted: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._by_request)

    def __iter__(self) -> Iterator[Attempt]:
        return iter(self._by_request.values())

    def add(self, attempt: Attempt) -> None:
        """Take in an attempt."""
        self._by_request[attempt.request_id] = attempt

    def pop(self, request_id: str) -> Attempt | None:
        """Take out an attempt; None if it is not here (any more)."""
        return self._by_request.pop(request_id, None)

    def get(self, request_id: str) -> Attempt | None:
        """Return an attempt, or None."""
        return self._by_request.get(request_id)

    def of_job(self, job_id: str) -> list[Attempt]:
        """Return the attempts of a job; rarely asked, so it looks at all."""
        return [attempt for attempt in self if attempt.job.id == job_id]

    def forewarn(self, request_id: str) -> None:
        """Take note that an attempt is to be cancelled which is not here, or not yet: control and claims are
        read by two connections, so a cancel may overtake the answer to the claim.
        """
        self._unwanted[request_id] = None
        if len(self._unwanted) > _FOREWARNED:
            del self._unwanted[next(iter(self._unwanted))]

    def is_unwanted(self, request_id: str) -> bool:
        """Return True, once, if an attempt was to be cancelled before it was here."""
        return self._unwanted.pop(request_id, self) is None

    def expired(self, now_s: float) -> list[Attempt]:
        """Return the attempts whose deadline has passed."""
        return [attempt for attempt in self if attempt.deadline_s <= now_s]

    def next_deadline_s(self) -> float:
        """Return the earliest deadline, infinity if there is none."""
        return min((attempt.deadline_s for attempt in self), default=float("inf"))
