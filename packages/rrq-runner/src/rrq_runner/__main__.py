"""``rrq-runner`` and ``python -m rrq_runner``."""

from rrq_runner.commands import python


def main() -> None:
    """Run the command; ends the process with its exit code."""
    python(prog_name="rrq-runner")


if __name__ == "__main__":
    main()
