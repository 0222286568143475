"""How long to wait before the next attempt: exponential, capped, with full jitter."""

from dataclasses import dataclass
from math import isfinite
from random import Random

_MAX_DOUBLINGS = 1000  # 2.0 ** 1024 overflows, and every cap is reached long before


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounds of the delay between attempts.

    Attributes:
        base_s: Longest delay after the first attempt, in seconds. It doubles with every further attempt. 0:
            no delay.
        cap_s: No delay is longer than this, in seconds.

    Raises:
        ValueError: A bound is negative or not finite.
    """

    base_s: float = 5.0
    cap_s: float = 3600.0

    def __post_init__(self) -> None:
        for name, value in (("base_s", self.base_s), ("cap_s", self.cap_s)):
            if not (isfinite(value) and value >= 0):
                raise ValueError(f"{name}: expected a finite number of seconds >= 0, got {value}")


def delay_s(attempt: int, policy: RetryPolicy, random: Random) -> float:
    """Return the seconds to wait before the next attempt.

    Evenly spread between 0 and ``min(cap_s, base_s * 2 ** (attempt - 1))``, "full jitter": jobs that failed
    together do not return together, and whatever they need has the least of them to serve at any moment
    (RELIABILITY.md, F57). The average is half of the bound.

    Args:
        attempt: The attempt that just failed, counted from 1.
        policy: The bounds.
        random: Source of the jitter.

    Raises:
        ValueError: ``attempt`` is below 1.
    """
    if attempt < 1:
        raise ValueError(f"attempt: expected >= 1, got {attempt}; attempts are counted from 1")
    bound = min(policy.cap_s, policy.base_s * 2.0 ** min(attempt - 1, _MAX_DOUBLINGS))
    return random.random() * bound
