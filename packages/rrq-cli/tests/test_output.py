"""What commands print is JSON in plain ASCII, or tables without control characters."""

import io
import json

import pytest
from rich.console import Console

from rrq_cli.exits import UsageProblem
from rrq_cli.output import Column, console, emit, json_text, note, require_no_terminal, shown, table, titled
from support.cli import HOSTILE


def _printed(*things: object, width: int = 40) -> str:
    out = io.StringIO()
    printer = Console(file=out, width=width, markup=False, emoji=False, highlight=False)
    for thing in things:
        printer.print(thing)
    return out.getvalue()


def test_json_is_plain_ascii_and_exact() -> None:
    """Whatever the data holds, JSON drives no terminal, and reading it gives the data back."""
    text = json_text({"a": HOSTILE, "b": "日本"})
    assert text.isascii()
    assert {char for char in text if not char.isprintable()} == {"\n"}
    assert json.loads(text) == {"a": HOSTILE, "b": "日本"}


def test_markup_in_data_is_text() -> None:
    """Brackets and emoji codes in data are printed as they are."""
    printed = _printed(table([Column("x")], [("[red]a[/red] :smile:",)]))
    assert "[red]a[/red] :smile:" in printed


def test_cells_are_escaped_and_cut() -> None:
    """A cell that is too wide ends in an ellipsis; a whole one is folded instead."""
    rows = [("i" * 30, "text " * 9), ("i", HOSTILE)]
    printed = _printed(table([Column("id", whole=True), Column("text", ratio=1)], rows))
    assert "\x1b" not in printed
    assert printed.count("i") == 2 + 30
    assert "…" in printed


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
