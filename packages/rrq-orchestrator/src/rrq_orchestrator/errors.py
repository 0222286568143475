"""Errors of the orchestrator.

::

    RRQError
    └── OrchestratorError
        ├── RedisGone       Redis cannot be reached, or cannot serve just now; it may come back by itself
        ├── RedisRefused    Redis refuses us (password, rights, kind of server); a person has to act
        └── Fenced          this orchestrator was declared dead; its claims belong to others
"""

from rrq_protocol import RRQError

__all__ = ["Fenced", "OrchestratorError", "RedisGone", "RedisRefused"]


class OrchestratorError(RRQError):
    """Base of the orchestrator's errors."""


class RedisGone(OrchestratorError):
    """The call may or may not have been carried out; every transition may be repeated. If it was never
    ``sent``, it was not.
    """

    def __init__(self, address: str, problem: str, *, sent: bool = True) -> None:
        super().__init__(f"Redis at {address}: {problem}")
        self.address, self.problem, self.sent = address, problem, sent


class RedisRefused(OrchestratorError):
    """Waiting does not help. ``problem`` is the server's text, ``action`` what a person can do."""

    def __init__(
        self,
        address: str,
        problem: str,
        action: str = "check redis_dsn, its password and the user's rights",
    ) -> None:
        super().__init__(f"Redis at {address} refuses: {problem.rstrip('.')}; {action}")
        self.address, self.problem, self.action = address, problem, action


class Fenced(OrchestratorError):
    """Register anew under a new id before claiming again."""

    def __init__(self, orchestrator_id: str) -> None:
        super().__init__(f"orchestrator {orchestrator_id} was declared dead by another one")
        self.orchestrator_id = orchestrator_id
