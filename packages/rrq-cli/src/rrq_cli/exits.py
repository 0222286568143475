"""Exit codes, and what a person gets to read when something cannot be done (API.md *rrq (command line)*).

A user's mistake never shows a traceback: commands raise :class:`CliError` or one of its kin with a whole
sentence, and :func:`explain` translates the errors of Redis and of the contract wheel.
"""

import re
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
# Where in a script it happened, as servers from 7 on and before it say; a person has no use for that.
_in_script = re.compile(
    r"""^(?:ERR[ ])?Error[ ]running[ ]script[ ]\(call[ ]to[ ]\S+\):[ ](?:@user_script:[ ]?\d+:[ ])*-?
    |\.?[ ]script:[ ][0-9a-f]{40},[ ]on[ ]@user_script:\d+\.?$""",
    re.VERBOSE,
)
_NO_PASSWORD = ("HELLO must be called with the client already authenticated", "Authentication required")
_ANSWERS = {  # by the kinds that classify_reply tells apart
    "full": "Redis has no memory left ({}): raise maxmemory, or free some, as with `rrq queue purge`",
    "reconnect": "this Redis takes no writes ({}): name its primary in redis_dsn",
}


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

    from rrq_protocol import classify_reply

    if not isinstance(error, exceptions.RedisError):
        return None
    text = _in_script.sub("", " ".join(str(error).split())).rstrip(".")
    if any(mark in text for mark in _NO_PASSWORD):
        said = "Redis asks for a password: give one in redis_dsn, redis_dsn_file or RRQ_REDIS_DSN"
        return ExitCode.FINDING, said
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
            said = _ANSWERS.get(classify_reply(text).value, "Redis answered: {}").format(text)
    return ExitCode.FINDING, said


def _explain_system(error: BaseException) -> Explanation | None:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return ExitCode.FINDING, f"{where}{error.strerror}"
    return None
