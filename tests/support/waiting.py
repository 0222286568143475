"""Waiting for what nothing announces: a file another process writes, a process table, a state between two
others.

Where there is something to wait on (``Producer.wait``, a line of a log, the end of a process), wait on that.
"""

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["eventually"]

T = TypeVar("T")
WITHIN_S = 30.0
_STEP_S = 0.01


def eventually(look: Callable[[], T], what: str, *, within_s: float = WITHIN_S) -> T:
    """Return the first true value of ``look()``.

    Raises:
        AssertionError: There was none within ``within_s``; the text names ``what`` and the last value.
    """
    give_up = time.monotonic() + within_s
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > give_up:
            raise AssertionError(f"expected {what} within {within_s:g} s; at last there was {seen!r}")
        time.sleep(_STEP_S)
