"""Time, injected: wall-clock milliseconds for what is stored, monotonic seconds for how long something takes.

The two never mix. A wall clock may jump; comparing two of its readings tells nothing about a duration.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from."""

    def now_ms(self) -> int:
        """Return the wall-clock time in milliseconds since 1970-01-01 UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start. Never goes back."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def now_ms(self) -> int:
        """See :meth:`Clock.now_ms`."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """See :meth:`Clock.monotonic`."""
        return time.monotonic()


class ManualClock:
    """A clock for tests: it stands still until it is told otherwise.

    Args:
        now_ms: Wall-clock time to start at; the default is 2024-01-01 00:00 UTC.
        monotonic: Monotonic seconds to start at.
    """

    def __init__(self, now_ms: int = 1_704_067_200_000, monotonic: float = 0.0) -> None:
        self._start_ms = now_ms
        self._start = monotonic
        self._passed = 0.0

    def now_ms(self) -> int:
        """See :meth:`Clock.now_ms`."""
        return self._start_ms + round(self._passed * 1000)

    def monotonic(self) -> float:
        """See :meth:`Clock.monotonic`."""
        return self._start + self._passed

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass on both clocks.

        Raises:
            ValueError: ``seconds`` is negative or not a number.
        """
        if not seconds >= 0:
            raise ValueError(
                f"seconds: expected >= 0, got {seconds}; time does not run backwards, use jump()"
            )
        self._passed += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward, or back if negative, as an administrator or NTP may. No time passes."""
        self._start_ms += round(seconds * 1000)
