"""Tables fit the window: numbers stay whole, texts give way, columns go last."""

import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from rrq_cli.tables import Column, fitted, table
from support.cli import HOSTILE
from support.fuzzing.text import controls


def _printed(columns: Sequence[Column], rows: Sequence[Sequence[object]], width: int) -> str:
    out = io.StringIO()
    printer = Console(file=out, width=width, markup=False, emoji=False, highlight=False)
    printer.print(table(columns, rows))
    return out.getvalue()


def test_markup_in_data_is_text() -> None:
    """Brackets and emoji codes in data are printed as they are, control characters written out."""
    printed = _printed([Column("x")], [("[red]a[/red] :smile:",), (HOSTILE,)], 100)
    assert "[red]a[/red] :smile:" in printed
    assert "\x1b" not in printed


def test_headings_are_escaped() -> None:
    """A heading that is data, as a status nobody knows, drives no terminal either (S6)."""
    printed = _printed([Column(HOSTILE, right=True), Column("x")], [(1, 2)], 100)
    assert "\\x1b[2J" in printed
    assert not controls(printed.replace("\n", ""))


def test_texts_are_cut_and_whole_ones_folded() -> None:
    """A cell that is too wide ends in an ellipsis; one that must stay whole is folded instead."""
    rows = [("i" * 60, "text " * 9), ("i", "x")]
    printed = _printed([Column("id", whole=True), Column("text", elastic=True)], rows, 40)
    assert printed.count("i") == 2 + 60
    assert "…" in printed
    assert max(map(len, printed.splitlines())) <= 40


@pytest.mark.parametrize("width", [20, 24, 30, 40, 80, 200])
def test_numbers_are_never_cut(width: int) -> None:
    """However narrow the window and long the texts, numbers are whole, and no line is too long."""
    columns = [
        Column("Lines", right=True),
        Column("Function", most=30, keep=1),
        Column("File", elastic=True),
        Column("Bytes", right=True, keep=2),
    ]
    printed = _printed(columns, [("1,234,567", "f" * 70, "/very/long" * 20, "98,765")], width)
    assert "1,234,567" in printed
    assert "98,765" in printed
    assert max(map(len, printed.splitlines())) <= width


def test_of_paths_the_end_is_kept() -> None:
    """A cell whose end says more loses its beginning."""
    printed = _printed([Column("File", tail=True)], [("/a/very/long/path/to/file.py:15",), ("b.py:1",)], 16)
    assert [line.rstrip() for line in printed.splitlines()[2:]] == ["…h/to/file.py:15", "b.py:1"]


def test_what_fits_is_as_wide_as_its_content() -> None:
    """Where there is room, a column takes what its widest cell needs, and nothing is added."""
    assert fitted([Column("Queue"), Column("Ready", right=True)], [[3, 9], [2]], 80) == {0: 9, 1: 5}


def test_the_least_important_columns_go_first() -> None:
    """Of columns that cannot all be shown, those kept least go, the last of equals first, never the first."""
    columns = [Column("A"), *(Column(str(n), right=True, keep=keep) for n, keep in enumerate((1, 0, 0)))]
    contents = [[10], [8], [8], [8]]
    assert list(fitted(columns, contents, 40)) == [0, 1, 2, 3]
    assert list(fitted(columns, contents, 35)) == [0, 1, 2]
    assert list(fitted(columns, contents, 25)) == [0, 1]
    assert fitted(columns, contents, 5) == {0: 5}


def test_elastic_columns_give_way_before_others() -> None:
    """Elastic texts shrink first; then other texts, headings of numbers, and what must stay whole."""
    columns = [
        Column("id", whole=True),
        Column("Some heading", right=True),
        Column("b"),
        Column("c", elastic=True),
    ]
    contents = [[36], [3], [20], [50]]
    assert fitted(columns, contents, 100) == {0: 36, 1: 12, 2: 20, 3: 26}
    assert fitted(columns, contents, 80) == {0: 36, 1: 12, 2: 16, 3: 10}
    assert fitted(columns, contents, 68) == {0: 36, 1: 6, 2: 10, 3: 10}
    assert fitted(columns, contents, 50) == {0: 18, 1: 6, 2: 10, 3: 10}


def test_no_rows_are_a_heading() -> None:
    """Without rows there is the heading alone."""
    assert _printed([Column("Queue"), Column("Ready", right=True)], [], 40).split()[:2] == ["Queue", "Ready"]
