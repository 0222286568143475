"""A killed benchmark leaves nothing behind: it runs below a guard, as runner processes do (ADR 0016).

The process that was started only waits; the guard below it ends everything when that process is gone, even by
kill -9, or when the benchmark ends in whatever way.
"""

import os
import signal
import subprocess
import sys
from types import FrameType
from typing import Final

from rrq_orchestrator.runners.guard import guarded, prctl

__all__ = ["INSIDE", "interruptible", "run_guarded"]

INSIDE: Final = "BENCHMARKS_GUARDED"
"""The variable by which the benchmark knows that it is below a guard."""
_PR_SET_PDEATHSIG: Final = 1


def interruptible() -> None:
    """Take the guard's SIGTERM as the Ctrl-C it comes from."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def run_guarded(arguments: list[str]) -> int:
    """Run ``python -m benchmarks`` with ``arguments`` below a guard; return its exit code."""
    if "MAKELEVEL" in os.environ:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # `make bench` was killed
    control, status = os.pipe(), os.pipe()
    inner = [sys.executable, "-m", "benchmarks", *arguments]
    command, environment = guarded(inner, {**os.environ, INSIDE: "1"}, control[0], status[1])
    with subprocess.Popen(command, env=environment, pass_fds=(control[0], status[1])) as guard:
        os.close(control[0])
        os.close(status[1])

        def pass_on(number: int, frame: FrameType | None) -> None:
            guard.terminate()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, pass_on)
        with os.fdopen(status[0]) as told:
            words = told.read().split()
        os.close(control[1])
    match words:
        case [*_, "ended", code, _]:
            return int(code) if int(code) >= 0 else 128 - int(code)
    return 1
