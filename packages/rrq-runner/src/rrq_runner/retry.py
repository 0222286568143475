"""When a handler that failed is tried again, by the handler's own word (docs/adr/0019).

The runner decides nothing: it answers a delay, or that another attempt is pointless. The orchestrator adds
what only it knows, the job's own limit and the longest delay.
"""

from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

import msgspec

from rrq_protocol import FATAL_CODE, ExecutionError, ExecutionOutcome, OutcomeStatus, RetryPolicy, delay_s
from rrq_runner.errors import seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """How often and when a handler is tried again after it failed or asked for it. Durations are seconds or
    timedeltas.

    Attributes:
        max_retries: Attempts in all, besides the job's own limit; None: the job's alone.
        base_delay_seconds: Delay after the first attempt at most; it doubles with every further one. What is
            waited is drawn evenly between 0 and that. None: what the orchestrator is set to.
        max_delay_seconds: No delay is longer, nor longer than the orchestrator's ``max_retry_delay_seconds``.
        give_up_on: Exceptions another attempt cannot cure.

    Raises:
        ValueError: A number is out of bounds.
        TypeError: A value has another type.
    """

    max_retries: int | None = None
    base_delay_seconds: float | timedelta | None = None
    max_delay_seconds: float | timedelta = 3600.0
    give_up_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        attempts: Any = self.max_retries
        if attempts is not None:
            if isinstance(attempts, bool) or not isinstance(attempts, int):
                raise TypeError(f"max_retries: expected attempts in all, an int, got {attempts!r}")
            if attempts < 1:
                raise ValueError(f"max_retries: expected attempts in all, at least 1, got {attempts}")
        hopeless: Any = self.give_up_on
        if isinstance(hopeless, type):
            hopeless = (hopeless,)
        if not isinstance(hopeless, tuple) or not all(_is_exception(each) for each in hopeless):
            raise TypeError(f"give_up_on: expected exception classes in a tuple, got {hopeless!r}")
        object.__setattr__(self, "give_up_on", hopeless)
        if self.base_delay_seconds is not None:
            base_s = seconds("base_delay_seconds", self.base_delay_seconds)
            object.__setattr__(self, "base_delay_seconds", base_s)
        object.__setattr__(self, "max_delay_seconds", seconds("max_delay_seconds", self.max_delay_seconds))

    def is_last(self, attempt: int) -> bool:
        """Return whether there is to be none after ``attempt``, counted from 1."""
        return self.max_retries is not None and attempt >= self.max_retries

    def applied(
        self, outcome: ExecutionOutcome, cause: BaseException | None, attempt: int, random: Random
    ) -> ExecutionOutcome:
        """Return the outcome of a failed attempt with what this policy says of the next one.

        Args:
            outcome: Of status error, retry or timeout.
            cause: What the handler raised, if it did.
            attempt: The attempt that failed, counted from 1.
            random: Source of the delay's jitter.
        """
        error = outcome.error or ExecutionError("")
        if error.is_fatal:
            return outcome
        if self.is_last(attempt) or isinstance(cause, self.give_up_on):
            # "retry" would be obeyed, whatever the error says.
            status = OutcomeStatus.ERROR if outcome.status is OutcomeStatus.RETRY else outcome.status
            final = msgspec.structs.replace(error, code=FATAL_CODE)
            return msgspec.structs.replace(outcome, status=status, error=final, retry_after_seconds=None)
        if outcome.status is OutcomeStatus.TIMEOUT or outcome.retry_after_seconds is not None:
            return outcome
        pause_s = self._delay_s(attempt, random)
        if pause_s is None:
            return outcome
        # This status alone carries a delay, to orchestrators of the public line, too.
        return msgspec.structs.replace(outcome, status=OutcomeStatus.RETRY, retry_after_seconds=pause_s)

    def _delay_s(self, attempt: int, random: Random) -> float | None:
        if self.base_delay_seconds is None:
            return None
        base_s = seconds("base_delay_seconds", self.base_delay_seconds)
        policy = RetryPolicy(base_s, seconds("max_delay_seconds", self.max_delay_seconds))
        return delay_s(attempt, policy, random)


def _is_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)
