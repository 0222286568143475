"""``rrq-orchestrator`` and ``python -m rrq_orchestrator``: the daemon."""

from rrq_orchestrator.commands.worker import daemon

__all__ = ["main"]


def main() -> None:
    """Run the command; ends the process with its exit code."""
    daemon(prog_name="rrq-orchestrator")


if __name__ == "__main__":
    main()
