"""Exit codes and messages."""

import json

import click
import pytest

from rrq_orchestrator.commands.exits import ExitCode, explained, fail
from rrq_orchestrator.embedded import EmbeddedServerError, EmbeddedSetupError
from rrq_orchestrator.errors import RedisGone, RedisRefused
from rrq_protocol import SettingsError


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (SettingsError(["rrq.a: wrong"]), 78, "rrq: the settings have a problem:\n  rrq.a: wrong\n"),
        (SettingsError(["a: 1", "b: 2"]), 78, "rrq: the settings have 2 problems:\n  a: 1\n  b: 2\n"),
        (EmbeddedSetupError("install it"), 78, "rrq: install it\n"),
        (EmbeddedServerError("it ended"), 1, "rrq: it ended\n"),
        (RedisRefused("localhost", "NOAUTH"), 78, "rrq: Redis at localhost refuses: NOAUTH"),
    ],
)
def test_what_people_can_correct_is_told(
    error: Exception, code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One message on standard error, the code, and no traceback."""
    with pytest.raises(click.exceptions.Exit) as caught, explained():
        raise error
    assert caught.value.exit_code == code
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(text)
    assert "Traceback" not in output.err


@pytest.mark.parametrize("error", [RuntimeError("defect"), RedisGone("localhost", "away")])
def test_a_defect_is_not_explained_away(error: Exception) -> None:
    """Whatever people cannot correct stays what it is."""
    with pytest.raises(type(error)), explained():
        raise error


def test_messages_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Names from files and servers are shown as escapes; the message's own lines stay lines."""
    with pytest.raises(click.exceptions.Exit):
        fail("one \x1b[2J\ntwo", ExitCode.FORCED)
    assert capsys.readouterr().err == "rrq: one \\x1b[2J\ntwo\n"


def test_a_program_is_told_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the message and the code stand on standard output too, without control characters."""
    ctx = click.Context(click.Command("some"), info_name="some")
    ctx.params["as_json"] = True
    with ctx, pytest.raises(click.exceptions.Exit):
        fail("one \x7f\ntwo", ExitCode.CONFIGURATION)
    output = capsys.readouterr()
    assert json.loads(output.out) == {"error": "one \x7f\ntwo", "exit_code": 78}
    assert "\x7f" not in output.out
    assert output.err == "rrq: one \\x7f\ntwo\n"
