"""States of Redis that last: told when they begin, again at growing intervals, and when they end."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from structlog.typing import FilteringBoundLogger

__all__ = ["Condition"]

REMINDERS_S: Final = (10.0, 60.0, 300.0)


class Condition:
    """One such state, e.g. an outage. Event loop only.

    Args:
        log: Where it is told; fields that all its events have are bound to it.
        begins, goes_on, ends: Names of its events: the first two are warnings. All but the first have
            ``outage_s``.
        reminders_s: When to tell again, in seconds since the beginning; after the last of them every so many.
    """

    def __init__(
        self,
        log: FilteringBoundLogger,
        begins: str,
        goes_on: str,
        ends: str,
        reminders_s: Sequence[float] = REMINDERS_S,
    ) -> None:
        self._log, self._begins, self._goes_on, self._ends = log, begins, goes_on, ends
        self._reminders_s = reminders_s
        self._fields: dict[str, Any] = {}
        self._since_s: float | None = None
        self._told = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def holds(self) -> bool:
        """Whether it has begun and not ended."""
        return self._since_s is not None

    def begin(self, **fields: Any) -> None:
        """Tell that it began. While it holds, only what a reminder will say changes."""
        self._fields = fields
        if self._since_s is None:
            self._since_s, self._told = asyncio.get_running_loop().time(), 0
            self._log.warning(self._begins, **fields)
            self._remind_later()

    def end(self) -> None:
        """Tell that it ended; nothing happens if it does not hold."""
        if self._since_s is not None:
            self._log.info(self._ends, outage_s=self._lasted_s())
        self.forget()

    def forget(self) -> None:
        """Tell nothing more: the process ends."""
        self._since_s = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

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
