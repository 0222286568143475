"""The HTTP endpoint of an orchestrator: ``/healthz``, ``/readyz`` and ``/metrics``."""

from rrq_orchestrator.http.endpoint import Endpoint
from rrq_orchestrator.http.view import View

__all__ = ["Endpoint", "View"]
