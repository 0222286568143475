"""``rrq-runner``, ``rrq-executor`` and ``python -m rrq_runner``."""

import sys
from pathlib import PurePath

from rrq_runner.address import warn_old_name
from rrq_runner.commands import python


def main() -> None:
    """Run the command; ends the process with its exit code."""
    if PurePath(sys.argv[0]).stem == "rrq-executor":
        warn_old_name("rrq-executor", "rrq-runner")
    python(prog_name="rrq-runner")


if __name__ == "__main__":
    main()
