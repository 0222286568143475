"""Who an orchestrator is: an id per incarnation, never reused, so that it is a fence by itself
(RELIABILITY.md 6.2).
"""

import os
import re
import secrets
import socket
from typing import Final

__all__ = ["PARENT_VARIABLE", "is_of_family", "new_orchestrator_id"]

PARENT_VARIABLE: Final = "RRQ_SUPERVISED_BY"
"""Environment variable of a supervised orchestrator: ``<parent's process id>:<token>``. The token, 64 random
bits in hex, is in the ids of all its incarnations, so that its parent knows them."""

_UNFIT = re.compile(r"[^A-Za-z0-9.-]+")


def new_orchestrator_id() -> str:
    """Return a fresh id: ``rrq_worker_<host>_<pid>_<128 bits in hex>``, random but for a parent's token."""
    host = _UNFIT.sub("-", socket.gethostname())[:60] or "host"
    _, _, token = os.environ.get(PARENT_VARIABLE, "").partition(":")
    return f"rrq_worker_{host}_{os.getpid()}_{token}{secrets.token_hex(16)[len(token) :]}"


def is_of_family(orchestrator_id: str, token: str) -> bool:
    """Return whether an id is of a process that was given ``token`` by its parent."""
    return bool(token) and orchestrator_id.rpartition("_")[2].startswith(token)
