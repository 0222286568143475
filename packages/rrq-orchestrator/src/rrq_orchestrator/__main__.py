"""``rrq-orchestrator`` and ``python -m rrq_orchestrator``: the daemon."""

import os
import signal
from types import FrameType

__all__ = ["main"]


def main() -> None:
    """Run the command; ends the process with its exit code."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    from rrq_orchestrator.commands.worker import daemon

    daemon(prog_name="rrq-orchestrator")


def _leave(number: int, frame: FrameType | None) -> None:
    """End in order while the rest is being loaded, which takes a while: nothing has begun (F18)."""
    os._exit(0)


if __name__ == "__main__":
    main()
