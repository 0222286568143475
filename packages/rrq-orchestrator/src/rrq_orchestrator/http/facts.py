"""What an orchestrator knows of itself at one moment; values only."""

import msgspec

from rrq_orchestrator.runners.base import RunnerState

__all__ = ["DeadLetterFacts", "Facts", "QueueFacts", "RunnerFacts"]


class RunnerFacts(msgspec.Struct, frozen=True):
    """One configured runner; see :func:`rrq_orchestrator.report.build_report`."""

    name: str
    state: RunnerState
    capacity: int = 0
    free: int = 0
    processes: int = 0
    alive: int = 0
    restarts: int = 0
    last_error: str | None = None


class QueueFacts(msgspec.Struct, frozen=True):
    """One served queue in Redis: how many jobs are due, how many later, and since when the first is due."""

    name: str
    ready: int
    scheduled: int
    oldest_s: float
    paused: bool


class DeadLetterFacts(msgspec.Struct, frozen=True):
    """One dead-letter queue in Redis."""

    name: str
    jobs: int


class Facts(msgspec.Struct, frozen=True):
    """All of it; ``queues`` and ``dead_letters`` are None where Redis did not say."""

    version: str
    stopping: bool = False
    failing: tuple[str, ...] = ()
    redis_connected: bool = True
    redis_refuses_writes: bool = False
    redis_refuses: str = ""
    redis_outages: int = 0
    redis_state_lost: int = 0
    registered: bool = True
    outbox: int = 0
    outbox_bytes: int = 0
    outbox_full: bool = False
    active: int = 0
    claims: int = 0
    recovered: int = 0
    settled: dict[str, int] = {}
    runners: tuple[RunnerFacts, ...] = ()
    queues: tuple[QueueFacts, ...] | None = None
    dead_letters: tuple[DeadLetterFacts, ...] | None = None
