"""``rrq-runner``, ``rrq-executor`` and ``python -m rrq_runner``."""

import sys
from pathlib import PurePath

from rrq_runner.address import warn_old_name
from rrq_runner.commands import OLD_COMMAND, python


def main() -> None:
    """Run the command; ends the process with its exit code."""
    old = PurePath(sys.argv[0]).stem == "rrq-executor"
    if old:
        warn_old_name("rrq-executor", "rrq-runner")
    python(prog_name="rrq-runner", obj=OLD_COMMAND if old else None)


if __name__ == "__main__":
    main()
