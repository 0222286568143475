"""The attempts this orchestrator holds: one entry per job in a runner's hands, no task and no future each."""

from collections.abc import Iterator
from enum import Enum

from rrq_protocol.transitions import ClaimedJob

__all__ = ["Attempt", "AttemptTable", "Stage"]


class Stage(Enum):
    """Where an attempt stands. Every stage ends in exactly one settlement."""

    RUNNING = "running"
    TIMING_OUT = "timing_out"
    """The deadline passed; a cancel frame was sent and the grace runs."""
    CANCELLING = "cancelling"
    """Somebody asked to cancel the job; a cancel frame was sent and the grace runs."""
    RELEASING = "releasing"
    """The attempt is to be given back uncounted: shutdown, or this orchestrator was fenced."""


class Attempt:
    """One execution: a claimed job, and when it was handed to which runner.

    All fields are written in the event loop, by the dispatcher only. ``started_s`` and ``deadline_s`` are
    monotonic seconds, ``started_ms`` is epoch ms.
    """

    __slots__ = ("deadline_s", "job", "owner", "request_id", "runner", "stage", "started_ms", "started_s")

    def __init__(
        self,
        job: ClaimedJob,
        owner: str,
        runner: str,
        request_id: str,
        started_s: float,
        started_ms: int,
        deadline_s: float,
    ) -> None:
        self.job, self.owner, self.runner, self.request_id = job, owner, runner, request_id
        self.started_s, self.started_ms, self.deadline_s = started_s, started_ms, deadline_s
        self.stage = Stage.RUNNING


class AttemptTable:
    """Attempts by request id. ``next_deadline_s`` is a lower bound of the earliest deadline, infinity when
    there is none.
    """

    def __init__(self) -> None:
        self._by_request: dict[str, Attempt] = {}

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

    def expired(self, now_s: float) -> list[Attempt]:
        """Return the attempts whose deadline has passed."""
        return [attempt for attempt in self if attempt.deadline_s <= now_s]

    def next_deadline_s(self) -> float:
        """Return the earliest deadline, infinity if there is none."""
        return min((attempt.deadline_s for attempt in self), default=float("inf"))
