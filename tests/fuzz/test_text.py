"""Text from data on its way to a terminal (RELIABILITY.md S6, G15)."""

import io
import json
from collections.abc import Hashable, Iterable
from typing import Any

import msgspec
from rich.cells import cell_len
from rich.console import Console

from rrq_cli.output import json_text, shown
from rrq_cli.tables import Column, table
from rrq_cli.text import cut, escape, escape_lines, width
from support.fuzzing import Bytes, Fuzz, Tree
from support.fuzzing.text import controls

SHARE = 1 / 15  # 20,000 of 300,000
TABLES_SHARE = 1 / 200
NARROWEST, WIDEST = 20, 200
TOKENS = (
    b"\x1b[31m", b"\x1b]0;title\x07", b"\xc2\x9b2J", b"\xe2\x80\xae", b"\xe2\x80\x8b", b"\xe2\x81\xa6",
    b"\xcc\x81" * 6, b"\xf0\x9f\x91\xa8\xe2\x80\x8d", b"\xef\xb8\x8f", b"\xe3\x85\xa4",
    b"\xe6\xbc\xa2\xe5\xad\x97", b"[bold]", b"[/]", b"\\[", b":warning:", b"\r", b"\x08", b"\xee\x80\x80",
    b"\xf3\xa0\x84\x80", b"\xed\xa0\x80", b"\xf4\x8f\xbf\xbf", b"\xe2\x80\xa6", b"\xc2\xad", b"\xc2\xa0",
    b"\xe3\x80\x80",
)  # fmt: skip


def check(data: bytes) -> Iterable[Hashable]:
    """Escape a text, cut it, and write it as JSON."""
    text = _decoded(data)
    escaped = escape(text)
    assert not controls(escaped), ascii(escaped)
    if text.isascii() and text.isprintable():
        assert escaped == text
    assert escaped.isascii() or escape(escaped) == escaped
    for line in escape_lines(text):
        assert not controls(line)
    room = data[0] % 40 if data else 0
    short = cut(escaped, room)
    assert width(short) <= room
    assert short == escaped or width(escaped) > room
    printed = json_text({"a": text, f"~{text}": [text]})
    assert printed.isascii()
    assert not controls(printed.replace("\n", ""))
    # JSON writes two lone surrogates as it writes the character they would make together.
    assert json.loads(printed)["a"].encode("utf-16", "surrogatepass") == text.encode(
        "utf-16", "surrogatepass"
    )
    return [("escaped", text == escaped), ("cut", short == escaped), *{_class(char) for char in text[:20]}]


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("latin-1") if len(data) % 2 else data.decode("utf-8", "surrogateescape")


def _class(char: str) -> Hashable:
    return escape(char) == char, ord(char) >> 8


def test_any_text_is_escaped_cut_and_written_as_json(fuzz: Fuzz) -> None:
    """Nothing that drives a terminal is left of any text; what is cut fits; JSON is plain ASCII and says the
    same.
    """
    fuzz.run("text", Bytes(TOKENS), check, share=SHARE)


def check_table(case: Any) -> Iterable[Hashable]:
    """Print a table of any cells at any width."""
    case = case if isinstance(case, dict) else {}
    columns = [_column(each) for each in _list(case.get("columns"))[:8]]
    rows = [(_list(each) + [None] * len(columns))[: len(columns)] for each in _list(case.get("rows"))[:20]]
    room = case.get("width")
    room = NARROWEST + room % (WIDEST - NARROWEST + 1) if isinstance(room, int) else 80
    out = io.StringIO()
    console = Console(file=out, width=room, markup=False, emoji=False, highlight=False)
    console.print(table(columns, rows))
    console.print(shown(case.get("columns")), overflow="fold")
    lines = out.getvalue().split("\n")
    for line in lines:
        assert not controls(line), ascii(line)
        assert cell_len(line) <= room, (cell_len(line), room)
    return [(len(columns), min(len(rows), 3)), ("width", room // 20), ("lines", min(len(lines), 50))]


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else []


def _column(value: Any) -> Column:
    """Return a column with what an input says of it, as far as that is of the right type."""
    given = value if isinstance(value, dict) else {}
    looks = {
        field.name: given[field.name]
        for field in msgspec.structs.fields(Column)
        if type(given.get(field.name)) is field.type and field.type in (bool, int)
    }
    if "most" in looks:
        looks["most"] = 1 + abs(looks["most"]) % 40
    return Column(escape(str(given.get("title", ""))), **looks)


def test_any_table_fits_its_width(fuzz: Fuzz) -> None:
    """Tables of up to eight columns of any texts, on terminals of 20 to 200 columns: no line is longer than
    the terminal is wide, none holds a control character.
    """
    fuzz.run("tables", Tree(TOKENS), check_table, share=TABLES_SHARE)
