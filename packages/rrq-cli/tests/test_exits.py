"""Errors become a sentence and an exit code."""

import pytest
from redis import exceptions

from rrq_cli.exits import CliError, ExitCode, UsageProblem, explain, fail
from rrq_protocol import InvalidName, SettingsError

FULL = "command not allowed when used memory > 'maxmemory'"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (CliError("no"), 1, "no"),
        (UsageProblem("how"), 2, "how"),
        (SettingsError(["rrq.a: b"]), 78, "the settings have a problem:\n  rrq.a: b"),
        (SettingsError(["rrq.a: b", "rrq.c: d"]), 78, "2 problems:\n  rrq.a: b\n  rrq.c: d"),
        (InvalidName("queue", "a b"), 1, "'a b' is not a valid queue name"),
        (exceptions.AuthenticationError("invalid password"), 1, "refused the user name or password"),
        (exceptions.NoPermissionError("no permissions"), 1, "may not do that"),
        (exceptions.BusyLoadingError("loading"), 1, "still loading"),
        (exceptions.TimeoutError("Timeout"), 1, "did not answer in time"),
        (exceptions.ConnectionError("closed"), 1, "connection to Redis was lost"),
        (exceptions.ResponseError("ERR odd\nthing"), 1, "Redis answered: ERR odd thing"),
        (exceptions.AuthenticationError("Authentication required."), 1, "Redis asks for a password: give"),
        (exceptions.ResponseError(f"{FULL}. script: {'a' * 40}, on @user_script:59."), 1, f"left ({FULL}): "),
        (
            exceptions.ResponseError(
                f"Error running script (call to f_a): @user_script:9: @user_script: 9: -OOM {FULL}."
            ),
            1,
            f"left (OOM {FULL}): ",
        ),
        (exceptions.ReadOnlyError("You can't write against a read only replica."), 1, "takes no writes"),
        (FileNotFoundError(2, "No such file", "x.toml"), 1, "x.toml: No such file"),
    ],
)
def test_errors_are_explained(error: Exception, code: int, said: str) -> None:
    """Each kind of error has its exit code, and its text says what happened."""
    explained = explain(error)
    assert explained is not None
    assert explained[0] == code
    assert said in explained[1]


def test_a_mistake_of_ours_is_not_hidden() -> None:
    """An unexpected error is not explained away: it shows its traceback and is reported."""
    assert explain(KeyError("x")) is None


def test_failing_ends_the_command() -> None:
    """`fail` raises, with a finding's exit code unless told otherwise."""
    with pytest.raises(CliError, match="gone") as caught:
        fail("gone")
    assert caught.value.code == ExitCode.FINDING
