"""States of Redis that last: told when they begin, again at growing intervals, and when they end."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from structlog.typing import FilteringBoundLogger

from rrq_protocol import LogLimit

__all__ = ["Condition"]

REMINDERS_S: Final = (10.0, 60.0, 300.0)
_AT_ONCE: Final = 3


class Condition:
    """One such state, e.g. an outage. Event loop only.

    One that comes and goes, as an outage does that only some connections see, is told as often as the limit
    allows; ``untold`` says how many were left out before. One that was left out is told when its turn comes,
    if it lasts so long. The end of one that was not told is not told either.

    Args:
        log: Where it is told; fields that all its events have are bound to it.
        begins, goes_on, ends: Names of its events: the first two are warnings. All but the first have
            ``outage_s``.
        reminders_s: When to tell again, in seconds since the beginning; after the last of them every so many.
        limit: How often it is told that it began: by default three times, then once in the time to the first
            reminder.
    """

    def __init__(
        self,
        log: FilteringBoundLogger,
        begins: str,
        goes_on: str,
        ends: str,
        reminders_s: Sequence[float] = REMINDERS_S,
        limit: LogLimit | None = None,
    ) -> None:
        self._log, self._begins, self._goes_on, self._ends = log, begins, goes_on, ends
        self._reminders_s = reminders_s
        self._fields: dict[str, Any] = {}
        self._since_s: float | None = None
        self._told = 0
        self._limit = limit or LogLimit(reminders_s[0], _AT_ONCE)
        self._quiet = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def holds(self) -> bool:
        """Whether it has begun and not ended."""
        return self._since_s is not None

    def begin(self, **fields: Any) -> None:
        """Tell that it began. While it holds, only what a reminder will say changes."""
        self._fields = fields
        if self._since_s is None:
            now_s = asyncio.get_running_loop().time()
            self._since_s, self._told = now_s, 0
            untold = self._limit.take(now_s)
            self._quiet = untold is None
            if untold is None:
                self._tell_later(now_s)
            else:
                self._tell(untold)

    def end(self) -> None:
        """Tell that it ended; nothing happens if it does not hold."""
        if self._since_s is not None and not self._quiet:
            self._log.info(self._ends, outage_s=self._lasted_s())
        self.forget()

    def forget(self) -> None:
        """Tell nothing more: the process ends."""
        self._since_s = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self, untold: int) -> None:
        counts = {"untold": untold} if untold else {}
        self._log.warning(self._begins, **self._fields, **counts)
        self._remind_later()

    def _tell_later(self, now_s: float) -> None:
        due_s = now_s + self._limit.due_in_s(now_s)
        self._timer = asyncio.get_running_loop().call_at(due_s, self._tell_now)

    def _tell_now(self) -> None:
        now_s = asyncio.get_running_loop().time()
        # A timer may be early by the clock's resolution.
        untold = None if self._limit.due_in_s(now_s) else self._limit.take(now_s)
        if untold is None:
            self._tell_later(now_s)
        else:
            self._quiet = False
            self._tell(untold - 1)  # of which this was one

    def _lasted_s(self) -> float:
        assert self._since_s is not None
        return round(asyncio.get_running_loop().time() - self._since_s, 3)

    def _remind_later(self) -> None:
        assert self._since_s is not None
        steps = self._reminders_s
        beyond = max(0, self._told - len(steps) + 1) * steps[-1]
        due_s = self._since_s + steps[min(self._told, len(steps) - 1)] + beyond
        self._timer = asyncio.get_running_loop().call_at(due_s, self._remind)

    def _remind(self) -> None:
        self._told += 1
        self._log.warning(self._goes_on, outage_s=self._lasted_s(), **self._fields)
        self._remind_later()
