"""Who an orchestrator is: an id per incarnation, never reused, so that it is a fence by itself
(RELIABILITY.md 6.2).
"""

import os
import re
import secrets
import socket

__all__ = ["new_orchestrator_id"]

_UNFIT = re.compile(r"[^A-Za-z0-9.-]+")


def new_orchestrator_id() -> str:
    """Return a fresh id: ``rrq_worker_<host>_<pid>_<128 random bits>``."""
    host = _UNFIT.sub("-", socket.gethostname())[:60] or "host"
    return f"rrq_worker_{host}_{os.getpid()}_{secrets.token_hex(16)}"
