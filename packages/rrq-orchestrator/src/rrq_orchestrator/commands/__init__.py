"""The commands of this wheel (entry points ``rrq.commands``): ``rrq worker``, ``cron``, ``dev``, ``doctor``,
``embedded``, ``runner conformance``."""

from rrq_orchestrator.commands.cron import cron
from rrq_orchestrator.commands.dev import dev
from rrq_orchestrator.commands.doctor import doctor
from rrq_orchestrator.commands.embedded import embedded
from rrq_orchestrator.commands.runner import runner
from rrq_orchestrator.commands.worker import worker

__all__ = ["cron", "dev", "doctor", "embedded", "runner", "worker"]
