"""What commands print is JSON in plain ASCII, or tables without control characters."""

import io
import json
import math

import pytest

from rrq_cli.exits import UsageProblem
from rrq_cli.output import console, emit, json_text, note, note_if_none, require_no_terminal, shown, titled
from support.cli import HOSTILE


def test_json_is_plain_ascii_and_exact() -> None:
    """Whatever the data holds, JSON drives no terminal, and reading it gives the data back."""
    text = json_text({"a": HOSTILE, "b": "日本"})
    assert text.isascii()
    assert {char for char in text if not char.isprintable()} == {"\n"}
    assert json.loads(text) == {"a": HOSTILE, "b": "日本"}


def test_json_has_no_infinity() -> None:
    """A number that JSON does not have is null, wherever it stands; deep nesting is no hindrance."""
    assert json.loads(json_text({"a": [math.inf, {"b": -math.inf}], "c": math.nan, "d": 1e300})) == {
        "a": [None, {"b": None}],
        "c": None,
        "d": 1e300,
    }
    deep: list[object] = []
    for _ in range(900):
        deep = [deep]
    assert json_text(deep).count("[") == 901


def test_nothing_is_a_dash() -> None:
    """None is shown as a dash."""
    assert shown(None).plain == "–"
    assert shown(3).plain == "3"


def test_emit_prints_one_of_both(capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json` a document, otherwise what the view prints."""
    emit(True, {"a": 1}, lambda out, _: out.print("view"))
    assert json.loads(capsys.readouterr().out) == {"a": 1}
    emit(False, {"a": 1}, lambda out, value: titled(out, str(value["a"]), "detail"))
    assert capsys.readouterr().out == "1  detail\n"


def test_notes_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """A remark does not disturb the answer."""
    note("mind \x1b")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "rrq: mind \\x1b\n")


def test_a_remark_is_for_those_who_found_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """It is printed where nothing was found, and where there is one."""
    for found, remark in (([1], "here"), ([], None), ([], "no file")):
        note_if_none(found, remark)
    assert capsys.readouterr().err == "rrq: no file\n"


def test_pipes_are_wide_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal there is room for whole rows; COLUMNS decides where it is set."""
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console().width == 120
    monkeypatch.setenv("COLUMNS", "77")
    assert console().width == 77


def test_raw_needs_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes as stored are refused where they would reach a terminal."""
    require_no_terminal()
    monkeypatch.setattr("sys.stdout", type("Tty", (io.StringIO,), {"isatty": lambda self: True})())
    with pytest.raises(UsageProblem, match="pipe it"):
        require_no_terminal()
