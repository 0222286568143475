"""Errors of the runner wheel.

::

    RRQError
    ├── RunnerError
    │   ├── RegistrationError   a handler cannot be offered as asked
    │   ├── InvalidParams       a request's params do not fit its handler
    │   ├── LoadError           the settings object cannot be loaded
    │   └── StartupError        the runner cannot start: a hook failed, an address is taken
    └── RetryJob                not a failure: a handler asks for another attempt
"""

from datetime import timedelta
from math import isfinite

from rrq_protocol import RRQError


class RunnerError(RRQError):
    """Base of the errors of a runner process."""


class RegistrationError(RunnerError):
    """The handler ``name`` cannot be offered.

    Raised where it is registered, before any job could meet the problem.
    """

    def __init__(self, name: object, problem: str) -> None:
        super().__init__(f"handler {name!r}: {problem}")
        self.name, self.problem = name, problem


class InvalidParams(RunnerError):
    """The params of a request do not fit the handler; another attempt cannot cure that.

    Attributes:
        field: The offending parameter, with the path inside it: ``order.items[2].id``.
        problem: What was expected and what came.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field, self.problem = field, problem


class LoadError(RunnerError):
    """The settings object named by ``reference`` cannot be loaded.

    One line; the process ends with exit code 78.
    """

    def __init__(self, reference: str, problem: str) -> None:
        super().__init__(f"--settings {reference}: {problem}")
        self.reference, self.problem = reference, problem


class StartupError(RunnerError):
    """The runner cannot start; the text says why and what to do."""


class RetryJob(RRQError):
    """Raise it in a handler to ask for another attempt.

    Args:
        message: Why; shown in the job's record.
        defer_seconds: Delay before the next attempt, in seconds or as a timedelta: at once, where it is below
            0, such as the rest of a time that is up by now; None leaves it to the retry policy.

    Raises:
        ValueError: ``defer_seconds`` is infinite or not a number.
        TypeError: It is neither a number nor a timedelta.
    """

    def __init__(self, message: str = "", defer_seconds: float | timedelta | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.defer_seconds = None if defer_seconds is None else _deferral(defer_seconds)


def _deferral(value: float | timedelta) -> float:
    given = value.total_seconds() if isinstance(value, timedelta) else value
    try:
        return seconds("defer_seconds", given)
    except ValueError:
        if isfinite(given):
            return 0.0
        raise


def seconds(name: str, value: float | timedelta) -> float:
    """Return a duration in seconds.

    Raises:
        ValueError: It is negative, infinite or not a number.
        TypeError: It is neither a number nor a timedelta.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}: expected seconds or a timedelta, got {value!r}")
    if not isfinite(value) or value < 0:
        raise ValueError(f"{name}: expected a finite number of seconds >= 0, got {value!r}")
    return float(value)
