"""How often the log tells of what can happen any number of times. Pure."""

from math import inf

__all__ = ["LogLimit"]


class LogLimit:
    """Lets the first events through, then one in ``every_s``, and counts those in between.

    What is quiet for a while may be told ``at_once`` times again. Times are monotonic seconds, given by the
    caller.

    Args:
        every_s: Seconds from one to the next, where there are many.
        at_once: How many are told before that holds.
    """

    def __init__(self, every_s: float, at_once: int = 1) -> None:
        self._every_s, self._ahead_s = every_s, every_s * (at_once - 1)
        # When as many as ever may be told again; each one that is told puts it off.
        self._full_s = -inf
        self._untold = 0

    def take(self, now_s: float) -> int | None:
        """Return how many were left out since the last that was told, if this one is to be told. Otherwise
        count it, and return None.
        """
        if self.due_in_s(now_s) > 0:
            self._untold += 1
            return None
        self._full_s = max(self._full_s, now_s) + self._every_s
        untold, self._untold = self._untold, 0
        return untold

    def due_in_s(self, now_s: float) -> float:
        """Return after how many seconds the next may be told; 0 for at once."""
        return max(0.0, self._full_s - self._ahead_s - now_s)
