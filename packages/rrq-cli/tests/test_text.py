"""Text from data is made fit for a terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrq_cli.text import cut, cut_head, escape, escape_lines, width
from support.cli import HOSTILE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text", "plain text"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x7f\x9b", "\\x7f\\x9b"),
        ("\u202egnp", "\\u202egnp"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("\U000e0041", "\\U000e0041"),
        ("x\ufe0f", "x\\ufe0f"),
        ("\u3164", "\\u3164"),
        ("\ud800", "\\ud800"),
        ("日本 é e\u0301 ñ", "日本 é e\u0301 ñ"),
        ("a" + "\u0301" * 6, "a" + "\u0301" * 4 + "\\u0301\\u0301"),
    ],
)
def test_what_controls_reorders_or_hides_is_written_out(text: str, expected: str) -> None:
    """C0, C1, DEL, bidi controls, zero-width characters, piled-up marks are escaped; letters stay."""
    assert escape(text) == expected


@given(st.text())
def test_escaped_text_never_drives_a_terminal(text: str) -> None:
    """No control, format, private or unassigned character comes out, and escaping again adds nothing."""
    escaped = escape(text)
    assert not {unicodedata.category(char) for char in escaped} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert escape(escaped) == escaped


@given(st.text(), st.integers(0, 30))
def test_cutting_keeps_to_the_width(text: str, cells: int) -> None:
    """A cut text takes at most the cells it may, and is a beginning of the whole with a mark after it."""
    escaped = escape(text)
    short = cut(escaped, cells)
    assert width(short) <= cells
    assert short == escaped or (short == "" and cells == 0) or escaped.startswith(short.removesuffix("…"))


@given(st.text(), st.integers(0, 30))
def test_cutting_the_head_keeps_the_end(text: str, cells: int) -> None:
    """The same at the other side: the end is kept, with a mark before it."""
    escaped = escape(text)
    short = cut_head(escaped, cells)
    assert width(short) <= cells
    assert short == escaped or (short == "" and cells == 0) or escaped.endswith(short.removeprefix("…"))


def test_wide_characters_count_twice() -> None:
    """Width is counted in terminal cells, so a wide character is never split."""
    assert width("日本") == 4
    assert cut("日本語", 5) == "日本…"
    assert cut("日本語", 4) == "日…"
    assert cut_head("日本語", 5) == "…本語"
    assert cut_head("日e\u0301x", 2) == "…x"
    assert width("e\u0301") == 1


def test_lines_stay_lines() -> None:
    """Where several lines are shown, line ends part them and everything else is escaped."""
    assert escape_lines("a\r\n\tb\n" + HOSTILE[:4]) == ["a", "    b", "\\x1b[2J"]
