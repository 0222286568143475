"""What is masked before it is shown."""

import pytest

from rrq_cli.masking import masked, masked_command


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["serve", "--token", "c4"], ["serve", "--token", "***"]),
        (["serve", "--api-key=c4", "--port", "1"], ["serve", "--api-key=***", "--port", "1"]),
        (["x", "--password", "-c4", "--key", "c4"], ["x", "--password", "***", "--key", "***"]),
        (["x", "--secret", "--verbose"], ["x", "--secret", "--verbose"]),
        (["env", "DB_PASSWORD=a b", "run"], ["env", "DB_PASSWORD=***", "run"]),
        (
            ["sh", "-c", "exec x --token c4 --n 1 TOKEN=c4"],
            ["sh", "-c", "exec x --token *** --n 1 TOKEN=***"],
        ),
        (["x", "postgres://me:c4@h/db"], ["x", "postgres://me:***@h/db"]),
        (
            ["x", "--token-file", "/run/t", "--keyboard", "us"],
            ["x", "--token-file", "/run/t", "--keyboard", "us"],
        ),
        ([], []),
    ],
)
def test_commands(words: list[str], shown: list[str]) -> None:
    """Values of options that are named like a secret are not shown; all else is."""
    assert masked_command(words) == shown


def test_data() -> None:
    """Names decide, at any depth; what is empty stays."""
    given = {
        "api_key": "c4",
        "apiKey": 4,
        "nested": [{"password": {"a": "c4"}, "key_file": "/k"}],
        "token": None,
        "monkey": 1,
        "dsn_like": "redis://:c4@h",
        "at": "redis://:c4@h",
    }
    assert masked(given) == {
        "api_key": "***",
        "apiKey": "***",
        "nested": [{"password": "***", "key_file": "/k"}],
        "token": None,
        "monkey": 1,
        "dsn_like": "***",
        "at": "redis://:***@h",
    }
