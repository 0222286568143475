"""Whether a runner process still does anything: pings while it holds requests and says nothing (F74).

A handler that blocks the event loop of its process freezes every other request in it. Nothing but the loop
can answer a ping, so a runner that takes part in the extension tells by its pongs that only its handlers are
slow. One timer at most, armed while requests are open.
"""

import asyncio
from collections.abc import Callable
from typing import Final

__all__ = ["Pulse"]

_LATE_S: Final = 1.0
_IN_DOUBT_S: Final = 0.2
"""A ping unanswered for so long casts doubt on the process, if a deadline passed in it."""


class Pulse:
    """Asks a quiet peer for a sign of life, and tells when there is none, and when there is one again.

    A timer that fires late says that this process itself did not run; the peer is then given a moment,
    because its bytes may be waiting unread.

    Args:
        quiet_s: Ask after so long without a sign.
        limit_s: Call ``silent`` after so long without an answer.
        wanted: Whether a sign is to be expected: requests are open.
        ask: Sends a ping.
        silent: Called with the seconds for which nothing was heard.
        heard: The same, once something is heard after that.
    """

    __slots__ = (
        "_ask",
        "_asked_at",
        "_heard",
        "_heard_at",
        "_limit_s",
        "_loop",
        "_quiet_s",
        "_silent",
        "_timer",
        "_told",
        "_wanted",
    )

    def __init__(
        self,
        quiet_s: float,
        limit_s: float,
        *,
        wanted: Callable[[], bool],
        ask: Callable[[], None],
        silent: Callable[[float], None],
        heard: Callable[[float], None],
    ) -> None:
        self._quiet_s, self._limit_s = quiet_s, limit_s
        self._wanted, self._ask, self._silent, self._heard = wanted, ask, silent, heard
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at = self._loop.time()
        self._asked_at: float | None = None
        self._told = False

    @property
    def in_doubt(self) -> bool:
        """Whether the peer owes an answer for a while."""
        return self._asked_at is not None and self._loop.time() - self._asked_at >= _IN_DOUBT_S

    def expect(self) -> None:
        """Begin to watch, if that is not done already: a request was sent."""
        if self._timer is None:
            self._heard_at = self._loop.time()
            self._at(self._heard_at + self._quiet_s)

    def sign(self) -> None:
        """Take note that something was heard."""
        now = self._loop.time()
        silence_s, self._heard_at, self._asked_at = now - self._heard_at, now, None
        if self._told:
            self._told = False
            self._heard(silence_s)

    def ask(self) -> None:
        """Ask now, unless an answer is owed already."""
        if self._asked_at is None:
            self._asked_at = self._loop.time()
            self._ask()

    def stop(self) -> None:
        """Watch no more. Safe to repeat."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._asked_at = None

    def _at(self, when: float) -> None:
        self._timer = self._loop.call_at(when, self._look, when)

    def _look(self, due: float) -> None:
        self._timer = None
        now = self._loop.time()
        if now - due > _LATE_S:
            self._at(now + min(self._quiet_s, _LATE_S))
        elif self._asked_at is None:
            if not self._wanted():
                return
            if now - self._heard_at >= self._quiet_s:
                self.ask()
            self._at(max(now, self._heard_at) + self._quiet_s)
        elif self._told or now - self._asked_at < self._limit_s:
            self._at(now + self._quiet_s)
        else:
            self._told = True
            self._at(now + self._quiet_s)
            self._silent(now - self._heard_at)
