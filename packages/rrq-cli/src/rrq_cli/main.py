"""The ``rrq`` command's first and last moments; all between is imported in here, so that Ctrl-C is quiet."""

import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

__all__ = ["main"]

_INTERRUPTED = 130


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = _run(sys.argv[1:] if args is None else args)
    except KeyboardInterrupt:  # while modules were imported, or the output was flushed
        code = _INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    sys.exit(code)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Make SIGTERM end a command as Ctrl-C does: quietly, and with what it began put away."""
    raise KeyboardInterrupt


def _run(args: Sequence[str]) -> int:
    from rrq_cli.streams import complain, keep_standard_streams, silence_stdout

    keep_standard_streams()
    from rrq_cli.exits import ExitCode
    from rrq_cli.root import reader_gone, run

    code = run(args)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return reader_gone()
    except OSError as error:
        if code == ExitCode.OK:  # else the reason was told already
            complain(f"rrq: standard output: {error.strerror}")
        silence_stdout()
        return int(code) or int(ExitCode.FINDING)
    return int(code)
