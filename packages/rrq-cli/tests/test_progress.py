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


def test_a_known_end_has_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where it is known how many there will be, that is shown too."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with progress("moved", total=1200) as advance:
        advance(300)
    assert "of 1,200" in capsys.readouterr().err
