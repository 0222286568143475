"""The orchestrator of RRQ: claims jobs, dispatches them to runners, decides, settles, recovers
(ARCHITECTURE.md).

Names are loaded when they are asked for: the commands of this wheel share its import with ``rrq --help``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rrq_orchestrator.errors import Fenced, OrchestratorError, RedisGone, RedisRefused
    from rrq_orchestrator.orchestrator import Orchestrator

__all__ = ["Fenced", "Orchestrator", "OrchestratorError", "RedisGone", "RedisRefused"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "orchestrator" if name == "Orchestrator" else "errors"
    return getattr(import_module(f"{__name__}.{module}"), name)
