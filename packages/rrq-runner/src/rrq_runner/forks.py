"""A handler that forks, and whose child comes back from it.

The child is a copy of the runner, with the same connections and a piece of its event loop. If it went on, it
would answer the request a second time, or hold the runner's sockets open for ever. So it ends where the
handler does, as a program would that had been started for the handler alone.
"""

import os
import sys
import traceback
from contextlib import suppress
from typing import NoReturn

__all__ = ["leave_forked_child"]


def leave_forked_child(error: BaseException | None) -> NoReturn:
    """End this process, the forked child of a runner, because its handler has returned or raised ``error``.

    The exit code is that of ``SystemExit``, 1 after any other exception, which is written to stderr, else 0.
    """
    code: object = 0
    try:
        if isinstance(error, SystemExit):
            code = 0 if error.code is None else error.code
            if not isinstance(code, int):
                sys.stderr.write(f"{code}\n")
                code = 1
        elif error is not None:
            code = 1
            traceback.print_exception(error)
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
    finally:
        os._exit(code & 0xFF if isinstance(code, int) else 1)
