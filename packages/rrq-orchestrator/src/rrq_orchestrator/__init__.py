"""The orchestrator of RRQ: claims jobs, dispatches them to runners, decides, settles, recovers
(ARCHITECTURE.md).

Names are loaded when they are asked for: the commands of this wheel share its import with ``rrq --help``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rrq_orchestrator.errors import Fenced, OrchestratorError, RedisGone, RedisRefused
    from rrq_orchestrator.orchestrator import Orchestrator
    from rrq_orchestrator.runners.in_process import InProcessRunner

__all__ = ["Fenced", "InProcessRunner", "Orchestrator", "OrchestratorError", "RedisGone", "RedisRefused"]

_ELSEWHERE = {"InProcessRunner": "runners.in_process", "Orchestrator": "orchestrator"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _ELSEWHERE.get(name, "errors")
    return getattr(import_module(f"{__name__}.{module}"), name)
