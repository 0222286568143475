"""Exit codes, and what a person gets to read when something cannot be done (API.md *rrq (command line)*).

A user's mistake never shows a traceback: commands raise :class:`CliError` or one of its kin with a whole
sentence, and :func:`explain` translates the errors of Redis and of the contract wheel.
"""

from enum import IntEnum
from typing import NoReturn

__all__ = [
    "CliError",
    "Explanation",
    "ExitCode",
    "UsageProblem",
    "explain",
    "fail",
]


class ExitCode(IntEnum):
    """What the command ends with."""

    OK = 0
    FINDING = 1
    USAGE = 2
    FORCED = 3
    CONFIGURATION = 78
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class CliError(Exception):
    """Something could not be done; the text says what was expected, what came, and what to do."""

    def __init__(self, message: str, code: int = ExitCode.FINDING) -> None:
        super().__init__(message)
        self.message, self.code = message, int(code)


class UsageProblem(CliError):
    """The command was called wrongly."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitCode.USAGE)


def fail(message: str, code: int = ExitCode.FINDING) -> NoReturn:
    """End the command with a message on stderr.

    Raises:
        CliError: Always.
    """
    raise CliError(message, code)


Explanation = tuple[int, str]


def explain(error: BaseException) -> Explanation | None:
    """Return the exit code and the text for an error, or None for one that is a mistake of ours."""
    if isinstance(error, CliError):
        return error.code, error.message
    return _explain_contract(error) or _explain_redis(error) or _explain_system(error)


def _explain_contract(error: BaseException) -> Explanation | None:
    from rrq_protocol import RRQError, SettingsError

    if isinstance(error, SettingsError):
        count = len(error.problems)
        head = "the settings have a problem:" if count == 1 else f"the settings have {count} problems:"
        return ExitCode.CONFIGURATION, "\n".join([head, *(f"  {problem}" for problem in error.problems)])
    if isinstance(error, RRQError):
        return ExitCode.FINDING, str(error)
    return None


def _explain_redis(error: BaseException) -> Explanation | None:
    from redis import exceptions

    if not isinstance(error, exceptions.RedisError):
        return None
    text = " ".join(str(error).split())
    match error:
        case exceptions.AuthenticationError() | exceptions.AuthorizationError():
            said = f"Redis refused the user name or password ({text}): correct redis_dsn, or RRQ_REDIS_DSN"
        case exceptions.NoPermissionError():
            said = f"this Redis user may not do that ({text}): permit it, or use another user in redis_dsn"
        case exceptions.BusyLoadingError():
            said = "Redis is still loading its data: try again in a moment"
        case exceptions.TimeoutError():
            said = f"Redis did not answer in time ({text}): is the address right, and is the server well?"
        case exceptions.ConnectionError():
            said = f"the connection to Redis was lost ({text}): try again"
        case _:
            said = f"Redis answered: {text}"
    return ExitCode.FINDING, said


def _explain_system(error: BaseException) -> Explanation | None:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return ExitCode.FINDING, f"{where}{error.strerror}"
    return None
