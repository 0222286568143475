"""Telling of peers that were sent away, who may come as often as they like."""

import logging
from typing import Final

from rrq_protocol import Clock, LogLimit, SystemClock

_log = logging.getLogger("rrq_runner")

_EVERY_S: Final = 10.0


class Refusals:
    """Tells of them as ``runner.peer_refused``: of the first at once, then of one in 10 s; ``untold`` is how
    many others came in between.

    Args:
        clock: Where the time comes from.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._limit = LogLimit(_EVERY_S)

    def tell(self, problem: str) -> None:
        """Note a refusal."""
        untold = self._limit.take(self._clock.monotonic())
        if untold is not None:
            _log.warning("runner.peer_refused", extra={"problem": problem, "untold": untold})
