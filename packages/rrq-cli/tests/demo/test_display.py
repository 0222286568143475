"""Progress is a live bar on a terminal, lines elsewhere, and nothing for programs."""

import io
import sys

import pytest

from rrq_cli.demo.display import Display, LiveDisplay, PlainDisplay, Progress, make_display

HALF = Progress(total=1000, enqueued=1000, done=480, failed=20, retried=40, seconds=2.0)


def test_the_display_fits_where_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quiet with JSON, lines in a pipe, a bar on a terminal."""
    assert type(make_display(quiet=True)) is Display
    assert type(make_display(quiet=False)) is PlainDisplay
    monkeypatch.setattr(sys, "stdout", type("Tty", (io.StringIO,), {"isatty": lambda self: True})())
    monkeypatch.setenv("TERM", "xterm")
    assert type(make_display(quiet=False)) is LiveDisplay


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json` nothing but the result is printed."""
    with Display() as display:
        display.step("started")
        display.update(HALF)
    assert capsys.readouterr() == ("", "")


def test_lines_come_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """Steps are printed at once, figures at most every two seconds, none before the total is known."""
    with PlainDisplay() as display:
        display.step("started")
        display.update(Progress())
        display.update(HALF)
        display.update(HALF)
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["started", "500/1,000  done 480  failed 20  retries 40  250 jobs/s  2.0 s"]


def test_the_bar_shows_all_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Done, failed, retries, rate and time are on the terminal while it runs."""
    out = type("Tty", (io.StringIO,), {"isatty": lambda self: True})()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    with LiveDisplay() as display:
        display.step("started")
        display.update(Progress(total=1000))
        display.update(HALF)
    text = out.getvalue()
    for word in (
        "started",
        "500/1,000",
        "50 %",
        "done",
        "480",
        "failed",
        "20",
        "retries",
        "40",
        "250 jobs/s",
        "2.0 s",
    ):
        assert word in text
    assert "\x1b[?25h" in text  # the cursor is back
