"""Which runner executes a job: its own prefix, else its queue's route, else the default (ARCHITECTURE.md,
step 4).
"""

from collections.abc import Mapping

import msgspec

from rrq_protocol import split_function_name

__all__ = ["Routes"]


class Routes(msgspec.Struct, frozen=True):
    """The routing table of one orchestrator.

    Attributes:
        default: Runner of jobs nothing else routes.
        by_queue: Queue name to runner name.
    """

    default: str
    by_queue: Mapping[str, str] = {}

    def of_queue(self, queue: str) -> str:
        """Return the runner of a queue's jobs that name none themselves."""
        return self.by_queue.get(queue, self.default)

    def of_job(self, function_name: str, queue: str) -> tuple[str, str]:
        """Return the runner of a job, and the handler's name without prefix."""
        if "#" not in function_name:
            return self.of_queue(queue), function_name
        runner, handler = split_function_name(function_name)
        return runner or self.of_queue(queue), handler
