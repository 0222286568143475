"""How many jobs of a queue completed, minute by minute, and what that makes per second."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rrq_cli.store.client import Store

__all__ = ["DAY", "HOUR", "Throughput", "count_of", "per_hour", "per_second"]

HOUR, DAY = 60, 1440
_STEPS = (HOUR, 8)  # minutes asked for at once, then of those in which there is something
_SHORT = 4
_PAGE = 2000


class Throughput:
    """Reads the counters of the last minutes; minutes that are over are read once only.

    There is one key per queue and minute, and most minutes of most queues have none: ``EXISTS`` counts the
    keys of an hour in one command, and only where there are some is looked closer.

    Args:
        minutes: How far back somebody wants to look; earlier minutes count as 0.
    """

    def __init__(self, minutes: int = DAY) -> None:
        self._span = minutes
        self._known: dict[str, tuple[int, dict[int, int]]] = {}

    def of(self, store: Store, names: Sequence[str], now_ms: float) -> dict[str, list[int]]:
        """Return how many jobs of each queue completed in the last 1440 minutes each, oldest first."""
        last = int(now_ms // 60_000)
        first = last - self._span + 1
        wanted = {name: range(max(first, self._known.get(name, (first, {}))[0]), last + 1) for name in names}
        found = _counts(store, wanted)
        result = {}
        for name in names:
            counts = {**self._known.get(name, (0, {}))[1], **found.get(name, {})}
            # The one before the running minute may still get what a script began in it.
            over = {minute: n for minute, n in counts.items() if first < minute < last - 1}
            self._known[name] = (last - 1, over)
            result[name] = [counts.get(minute, 0) for minute in range(last - DAY + 1, last + 1)]
        return result


_Span = tuple[str, range]


def _counts(store: Store, wanted: Mapping[str, range]) -> dict[str, dict[int, int]]:
    """Return the counters that are not 0 of each queue's minutes."""
    spans: list[_Span] = list(wanted.items())
    for size in _STEPS:
        spans = _occupied(store, [(name, each) for name, span in spans for each in _cut(span, size)])
    minutes = [(name, minute) for name, span in spans for minute in span]
    replies = _ask(store, [("HGET", store.keys.stats_minute(*each), "completed") for each in minutes])
    found: dict[str, dict[int, int]] = {}
    for (name, minute), reply in zip(minutes, replies, strict=True):
        if reply is not None:
            found.setdefault(name, {})[minute] = count_of(reply)
    return found


def _cut(span: range, size: int) -> Iterator[range]:
    yield from (span[start : start + size] for start in range(0, len(span), size))


def _occupied(store: Store, spans: Sequence[_Span]) -> list[_Span]:
    """Return the spans in which there is a key; short ones are not worth the question."""
    asked = [(name, span) for name, span in spans if len(span) > _SHORT]
    commands = [("EXISTS", *(store.keys.stats_minute(name, each) for each in span)) for name, span in asked]
    empty = {each for each, reply in zip(asked, _ask(store, commands), strict=True) if reply == 0}
    return [each for each in spans if each not in empty]


def _ask(store: Store, commands: Sequence[Sequence[Any]]) -> list[Any]:
    pages = (commands[start : start + _PAGE] for start in range(0, len(commands), _PAGE))
    return [reply for page in pages for reply in store.ask(*page)]


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
