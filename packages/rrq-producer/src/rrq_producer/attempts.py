"""How often and how long one call is tried: a budget of time, spent in attempts (RELIABILITY.md 6.8
*Producer*). No I/O.

The blocking and the async producer run the same loop around it::

    attempts = Attempts(address, timeout_s)
    while True:
        try:
            reply = exchange(command, attempts)     # limits itself to attempts.limit_s, sets attempts.sent
        except exchange_errors() as error:
            sleep(attempts.pause_after(error))      # or raises what the caller is to see
        if attempts.script_missing:
            command = the one that brings the script along
"""

from collections.abc import Callable
from random import Random
from time import monotonic

from rrq_producer.address import Address
from rrq_producer.errors import QueueFull, RedisError, RedisRefused, RedisUnavailable
from rrq_producer.faults import Failure, RedisFault, diagnose
from rrq_protocol import RetryPolicy, delay_s

__all__ = ["MAX_ATTEMPT_S", "Attempts"]

MAX_ATTEMPT_S = 5.0
"""Longest time one exchange may take. A connection that is silent for so long is given up (F44)."""

_WHOLE_ATTEMPT_S = 1.0
"""An attempt that gets less has its limit from the end of the call, and says little when it runs out."""

_BACKOFF = RetryPolicy(base_s=0.05, cap_s=2.0)
_random = Random()


class Attempts:
    """The attempts of one call.

    Args:
        address: Where it goes, for error texts.
        timeout_s: Time for all attempts together, in seconds.

    Attributes:
        sent: Set by the exchange once it begins to send: from then on the command may have had its effect.
        repeated: A command whose effect is not known was sent before, so the same id may be our own.
        script_missing: The server does not know the script; send its text.
    """

    __slots__ = (
        "_address",
        "_came_through",
        "_count",
        "_cut_short",
        "_last",
        "_monotonic",
        "_random",
        "_started",
        "_timeout_s",
        "repeated",
        "script_missing",
        "sent",
    )

    def __init__(
        self,
        address: Address,
        timeout_s: float,
        *,
        monotonic: Callable[[], float] = monotonic,
        random: Random = _random,
    ) -> None:
        self._address, self._timeout_s = address, timeout_s
        self._monotonic, self._random = monotonic, random
        self._started = monotonic()
        self._count = 0
        self._cut_short = self._came_through = False
        self._last: tuple[Exception, Failure] | None = None
        self.sent = False
        self.repeated = False
        self.script_missing = False

    def progressed(self) -> None:
        """Start the budget anew: a part of the call has been done."""
        self._started = self._monotonic()

    @property
    def remaining_s(self) -> float:
        """Seconds left for this call; never quite 0, so that an attempt begun fails for its own reason."""
        return max(0.01, self._started + self._timeout_s - self._monotonic())

    @property
    def limit_s(self) -> float:
        """Seconds the next attempt may take; asked for when it begins."""
        limit_s = min(MAX_ATTEMPT_S, self.remaining_s)
        self._cut_short = limit_s < _WHOLE_ATTEMPT_S
        return limit_s

    def pause_after(self, error: Exception) -> float:
        """Take note of a failed attempt and return the seconds to wait before the next; 0 for at once.

        Raises:
            QueueFull: The server has no memory left.
            RedisRefused: Trying again is of no use.
            RedisUnavailable: The time is used up.
        """
        failure = diagnose(error)
        if failure.fault is RedisFault.NO_SCRIPT and not self.script_missing:
            self.script_missing = True
            return 0.0
        self._count += 1
        self._came_through = self._came_through or self.sent
        sent, self.sent = self.sent, False
        self.repeated = self.repeated or (sent and not failure.replied)
        # Two unrelated classes, the language's and the client library's, have this name.
        if self._cut_short and self._last is not None and type(error).__name__ == "TimeoutError":
            # The time ran out on this attempt; what kept the others from succeeding is the better reason.
            error, failure = self._last
        self._last = error, failure
        waited_s = self._monotonic() - self._started
        pause_s = delay_s(self._count, _BACKOFF, self._random)
        if failure.fault is RedisFault.FULL:
            kind: type[RedisError] = QueueFull
        elif failure.fault in (RedisFault.CONFIGURATION, RedisFault.BUG, RedisFault.NO_SCRIPT):
            kind = RedisRefused
        elif waited_s + pause_s >= self._timeout_s:
            kind = RedisUnavailable
        else:
            return pause_s
        hint = failure.hint or self._address.hint or self._hint_where_none_came_about(error, failure)
        raise kind(
            self._address.display,
            failure.problem,
            hint=hint,
            attempts=self._count,
            waited_s=waited_s,
            begun=sent and failure.begun,
            unsure=self.repeated,
        ) from error

    def _hint_where_none_came_about(self, error: Exception, failure: Failure) -> str:
        """Return what to add where somebody is there, but no connection ever came about."""
        if self._came_through or not failure.reached:
            return ""
        silent = type(error).__name__ == "TimeoutError"
        return self._address.silence_hint if silent else self._address.cut_hint
