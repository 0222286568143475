"""Progress is shown to people only."""

import pytest

from rrq_cli.progress import progress


def test_nobody_looking_on_sees_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal nothing is printed, and counting still works."""
    for quiet in (True, False):
        with progress("moved", quiet=quiet) as advance:
            advance(3)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_sees_the_count(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a terminal the bar is drawn on stderr."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with progress("moved") as advance:
        advance(3)
    assert "moved" in capsys.readouterr().err
