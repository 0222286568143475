"""``python -m rrq_protocol.old_program PROGRAM.py`` runs a program of the first library as it is."""

import runpy
import sys
from pathlib import Path

from rrq_protocol.old_modules import install_old_modules

__all__ = ["main"]


def main() -> None:
    """Run the program named first, with the words behind it as its arguments, as ``python`` does."""
    if len(sys.argv) < 2:
        sys.exit("usage: python -m rrq_protocol.old_program PROGRAM.py [ARGUMENT]...")
    install_old_modules()
    del sys.argv[0]
    # In place of the folder that `python -m` put there.
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
