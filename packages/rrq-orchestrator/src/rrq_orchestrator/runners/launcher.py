"""Become a runner's command, with a life tied to the orchestrator's. Runs as a script, between fork and exec.

The kernel's parent-death signal has to be set in the child. A Python function between fork and exec is
unsafe where threads exist, so this small program stands in between instead (about 10 ms) and then replaces
itself by the command. It uses the standard library alone and is started by path, isolated, without ``site``.

The signal is tied to the *thread* that forked: the orchestrator starts processes from its event loop's
thread, which lives as long as it does (RELIABILITY.md 6.8).
"""

import os
import signal
import sys
from typing import Final

__all__ = ["COMMAND_NOT_FOUND", "COMMAND_NOT_RUNNABLE", "die_with_parent", "main", "wrapped"]

COMMAND_NOT_FOUND: Final = 127
COMMAND_NOT_RUNNABLE: Final = 126
_PR_SET_PDEATHSIG: Final = 1


def wrapped(command: list[str]) -> list[str]:
    """Return the command that runs ``command`` through this program; itself where the kernel has no such
    signal."""
    if not sys.platform.startswith("linux") or not sys.executable:
        return command
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def die_with_parent(parent: int) -> bool:
    """Ask the kernel for SIGKILL at the parent's death. Return False if the parent is dead already."""
    import ctypes  # the only expensive import, and of no use to those who only build the command

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        _complain(f"cannot tie this process to its parent: {os.strerror(ctypes.get_errno())}")
    # The parent may have died before the call; then nobody would ever send the signal.
    return os.getppid() == parent


def main(argv: list[str]) -> int:
    """Tie this process to the parent ``argv[0]`` and become the command ``argv[1:]``. Returns only if it
    cannot."""
    command = argv[1:]
    if not die_with_parent(int(argv[0])):
        return 1
    # Python ignores these two; ignored signals would stay ignored in the command.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        _complain(f"cannot run {command[0]!r}: {error.strerror}")
        return COMMAND_NOT_FOUND if isinstance(error, FileNotFoundError) else COMMAND_NOT_RUNNABLE


def _complain(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
