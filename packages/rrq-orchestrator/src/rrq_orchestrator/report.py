"""The health report of an orchestrator, as ``rrq check`` and the public line's tools read it (REDIS_SCHEMA.md
*Keys*). Pure.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from rrq_orchestrator.runners.base import Runner

__all__ = ["build_report"]

_encode = msgspec.json.Encoder().encode


def build_report(
    orchestrator_id: str,
    *,
    version: str,
    status: str,
    refused: str,
    active_jobs: int,
    concurrency: int | None,
    queues: Sequence[str],
    runners: Mapping[str, Runner],
    outbox: int,
) -> bytes:
    """Return the report as JSON.

    The keys up to ``queues`` are those of the public line. ``concurrency_limit`` is how many attempts it may
    run at a time: as many as its runners have slots, or ``worker_concurrency`` if that is less. ``status`` is
    ``running``, ``stopping`` or ``disconnected``; ``refused`` says what jobs need and Redis refuses, else it
    is null. ``outbox`` counts ends of attempts that Redis does not know yet. ``runners`` has an entry for
    each runner by name:

    ``state``
        ``starting``; ``ready``: takes jobs; ``broken``: no process runs, and starting one failed three times
        in a row; ``stopping``.
    ``capacity``, ``free``
        Slots of the processes that take jobs now, and those of them that are empty: 0 unless it is ready.
    ``processes``, ``pids``
        How many processes it should have, and the ids of those it has.
    ``restarts``
        How often a process took the place of an earlier one.
    ``last_error``, ``last_error_at``
        The latest failed start or unexpected end of a process in words, and when that was; null if there was
        none. It stays when the runner is ready again.
    ``stale``
        How many processes were to be replaced, by SIGHUP or by their limits, and work on with what they have
        loaded, because their successors do not start; ``last_error`` says why.
    """
    slots = sum(runner.capacity for runner in runners.values())
    return _encode(
        {
            "worker_id": orchestrator_id,
            "timestamp": datetime.now(UTC),
            "status": status,
            "refused": refused or None,
            "active_jobs": active_jobs,
            "concurrency_limit": slots if concurrency is None else min(slots, concurrency),
            "queues": list(queues),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": version,
            "outbox": outbox,
            "runners": {name: _runner(runner) for name, runner in runners.items()},
        }
    )


def _runner(runner: Runner) -> dict[str, object]:
    history = runner.history
    at_ms = history.last_error_at_ms
    return {
        "state": runner.state,
        "free": runner.free,
        "capacity": runner.capacity,
        "processes": runner.processes,
        "pids": runner.pids(),
        "restarts": history.restarts,
        "last_error": history.last_error,
        "last_error_at": datetime.fromtimestamp(at_ms / 1000, UTC) if at_ms is not None else None,
        "stale": history.stale,
    }
