"""Standard streams that are closed, as in ``rrq … >&-``.

Their numbers are taken by ``/dev/null``, lest the next socket becomes standard output. What is written to a
closed standard output is told once, as any failure to write; messages go to whichever stream is open.
"""

import contextlib
import errno
import io
import os
import sys

__all__ = ["complain", "is_closed", "keep_standard_streams", "silence_stdout"]

_STDOUT, _STDERR = 1, 2
_closed: set[int] = set()


class _ClosedOutput(io.RawIOBase):
    """Refuses the first write and swallows the others, so that nothing is told twice."""

    def __init__(self) -> None:
        self._told = False

    def writable(self) -> bool:
        """Pretend: the refusal has to come when something is written."""
        return True

    def write(self, data: object) -> int:
        """Refuse, the first time."""
        if not self._told:
            self._told = True
            raise OSError(errno.EBADF, "standard output is closed")
        return len(memoryview(data))  # type: ignore[arg-type]


def keep_standard_streams() -> None:
    """Put something harmless in place of each standard stream that is closed."""
    _closed.clear()
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
            _closed.add(fd)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - until the process ends
    if sys.stdout is None:
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(_ClosedOutput()), encoding="utf-8")
        _closed.add(_STDOUT)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - until the process ends
        _closed.add(_STDERR)


def is_closed(fd: int) -> bool:
    """Whether the standard stream of this number was closed when the command began."""
    return fd in _closed


def complain(text: str) -> None:
    """Print a message on standard error, or on standard output where only that is open."""
    stream = sys.stdout if is_closed(_STDERR) and not is_closed(_STDOUT) else sys.stderr
    with contextlib.suppress(OSError):
        stream.write(text + "\n")
        stream.flush()


def silence_stdout() -> None:
    """Drop whatever is still to be written to standard output: nobody can take it."""
    with contextlib.suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, _STDOUT)
        os.close(null)
