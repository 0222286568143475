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
    active_jobs: int,
    queues: Sequence[str],
    runners: Mapping[str, Runner],
    outbox: int,
) -> bytes:
    """Return the report as JSON. ``status`` is ``running``, ``stopping`` or ``disconnected``."""
    return _encode(
        {
            "worker_id": orchestrator_id,
            "timestamp": datetime.now(UTC),
            "status": status,
            "active_jobs": active_jobs,
            "concurrency_limit": sum(runner.capacity for runner in runners.values()),
            "queues": list(queues),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": version,
            "outbox": outbox,
            "runners": {
                name: {
                    "state": runner.state,
                    "free": runner.free,
                    "capacity": runner.capacity,
                    "pids": runner.pids(),
                }
                for name, runner in runners.items()
            },
        }
    )
