"""Which ticks are to be fired now; pure (RELIABILITY.md 6.8, F51, F54)."""

from itertools import islice, takewhile
from typing import Final, Literal

import msgspec

from rrq_orchestrator.cron.schedule import Schedule

__all__ = ["ON_TIME_S", "Due", "MissedPolicy", "due"]

ON_TIME_S: Final = 10
"""A tick that is fired so late was not missed: a process may be slow, or be followed by another (6.3)."""


class MissedPolicy(msgspec.Struct, frozen=True):
    """What becomes of ticks that came while nobody was there: none, the latest, or all up to ``most`` of
    them, the latest, are fired."""

    policy: Literal["skip", "last", "all"] = "last"
    most: int = 100


class Due(msgspec.Struct, frozen=True):
    """What is to be done about an entry. All instants are epoch seconds.

    Attributes:
        ticks: To be fired now, in their order.
        late: How many of them were missed in their time.
        dropped: The latest tick that was missed and is not fired; None if there is none.
        next: When there is something to fire again; None if never.
    """

    ticks: tuple[int, ...]
    late: int
    dropped: int | None
    next: int | None


def due(schedule: Schedule, missed: MissedPolicy, last_ms: int, now_ms: float) -> Due:
    """Decide about an entry.

    Args:
        schedule: Its ticks.
        missed: What becomes of those that were missed.
        last_ms: The latest tick that was dealt with, epoch ms.
        now_ms: The server's time.
    """
    now = int(now_ms // 1000)
    # Any two orchestrators with this answer fire the same ticks, or one the rest of the other's.
    new = takewhile(lambda tick: tick * 1000 > last_ms, schedule.until(now))
    on_time: list[int] = []
    left: int | None = None
    for tick in new:
        if tick < now - ON_TIME_S:
            left = tick
            break
        on_time.append(tick)
    late: list[int] = []
    if left is not None and missed.policy == "all":
        late = [left, *islice(new, missed.most - 1)]
        left = next(new, None)
    elif left is not None and missed.policy == "last" and not on_time:
        late, left = [left], next(new, None)
    ticks = tuple(reversed((*on_time, *late)))
    return Due(ticks, len(late), left, schedule.after(max(now, last_ms // 1000)))
