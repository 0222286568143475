"""How many jobs of a queue completed, minute by minute, and what that makes per second."""

from collections.abc import Sequence

from rrq_cli.store.client import Store

__all__ = ["DAY", "HOUR", "Throughput", "count_of", "per_hour", "per_second"]

HOUR, DAY = 60, 1440


class Throughput:
    """Reads the counters of the last 24 hours; minutes that are over are read once only."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], int] = {}

    def of(self, store: Store, name: str, now_ms: float) -> list[int]:
        """Return how many jobs of a queue completed in each of the last 1440 minutes, oldest first."""
        last = int(now_ms // 60_000)
        minutes = range(last - DAY + 1, last + 1)
        missing = [minute for minute in minutes if (name, minute) not in self._known]
        replies = store.ask(*(("HGET", store.keys.stats_minute(name, each), "completed") for each in missing))
        found = {(name, each): count_of(reply) for each, reply in zip(missing, replies, strict=True)}
        counts = [self._known.get((name, each), found.get((name, each), 0)) for each in minutes]
        # The one before the running minute may still get what a script began in it.
        self._known = {
            key: n for key, n in {**self._known, **found}.items() if last - DAY < key[1] < last - 1
        }
        return counts


def count_of(raw: object) -> int:
    """Return a counter; one that a stranger has overwritten counts as 0."""
    return int(raw) if isinstance(raw, bytes) and raw.isdigit() and len(raw) < 19 else 0


def per_second(minutes: Sequence[int], now_ms: float) -> tuple[float, float, float]:
    """Return jobs per second over the last minute, hour and day."""
    into = (now_ms % 60_000) / 60_000
    # The running minute, and of the one before as much as makes it a whole one.
    last_minute = (minutes[-1] + minutes[-2] * (1 - into)) / 60
    hour, day = (sum(minutes[-span:]) / ((span - 1 + into) * 60) for span in (HOUR, DAY))
    return last_minute, hour, day


def per_hour(minutes: Sequence[int]) -> list[int]:
    """Return the sums of 60 minutes each, the running one in the last."""
    return [sum(minutes[start : start + HOUR]) for start in range(0, len(minutes), HOUR)]
