"""Tables that fit the window: numbers are never cut, texts give way; where that does not do, columns go."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from rrq_cli.output import shown
from rrq_cli.text import cut_head, escape
from rrq_cli.text import width as width_of

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table
    from rich.text import Text

__all__ = ["Column", "fitted", "table"]

_GAP = 2
_LEAST_TEXT = 10
_LEAST_WHOLE = 12
_LEAST_TITLE = 6
_USUAL_WHOLE = 36


class Column(msgspec.Struct, frozen=True):
    """How a column looks.

    Attributes:
        title: Its heading.
        right: Whether it holds numbers, which are never cut.
        whole: Whether its cells must never be cut; they are folded where there is no room.
        elastic: Whether it gives way before other texts do.
        tail: Whether the end of its cells says more than their beginning, as with paths.
        named: Whether its heading must be whole, for it names the table.
        most: The most room it takes, 0 for any.
        keep: Where there is no room for all, columns of the least ``keep`` go first, of equal ones the last.
        style: A style of rich.
    """

    title: str
    right: bool = False
    whole: bool = False
    elastic: bool = False
    tail: bool = False
    named: bool = False
    most: int = 0
    keep: int = 0
    style: str = ""


class _Need(msgspec.Struct):
    """The room a column would like, and the least it can do with."""

    column: Column
    wanted: int
    least: int


def table(
    columns: Sequence[Column], rows: Iterable[Sequence[object]], *, headings: bool = True, rule: bool = True
) -> "_Fitted":
    """Return a plain table: headings and rule, unless it is to have none of them, then one row per entry.

    Headings may come from data: they are escaped, and so are cells unless they are ``Text``.
    """
    from rich.text import Text

    return _Fitted(
        [msgspec.structs.replace(column, title=escape(column.title)) for column in columns],
        [[cell if isinstance(cell, Text) else shown(cell) for cell in row] for row in rows],
        headings,
        rule,
    )


class _Fitted:
    """A table that is laid out when it is printed, for the room there is then."""

    def __init__(
        self, columns: Sequence[Column], rows: "Sequence[Sequence[Text]]", headings: bool, rule: bool
    ) -> None:
        self._columns, self._rows, self._headings, self._rule = columns, rows, headings, rule

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[Table]":
        contents = [[row[at].cell_len for row in self._rows] for at in range(len(self._columns))]
        yield self._drawn(fitted(self._columns, contents, options.max_width))

    def _drawn(self, widths: dict[int, int]) -> "Table":
        from rich import box
        from rich.table import Table
        from rich.text import Text

        result = Table(
            box=box.SIMPLE_HEAD if self._rule else None,
            padding=(0, 1 if self._rule else _GAP, 0, 0),
            pad_edge=False,
            show_edge=False,
            show_header=self._headings,
            header_style="bold",
        )
        for at, width in widths.items():
            column = self._columns[at]
            result.add_column(
                Text(column.title),
                justify="right" if column.right else "left",
                no_wrap=not column.whole,
                overflow="fold" if column.whole else "ellipsis",
                width=width,
                style=column.style,
            )
        for row in self._rows:
            result.add_row(*(_cell(self._columns[at], row[at], width) for at, width in widths.items()))
        return result


def _cell(column: Column, cell: "Text", width: int) -> "Text":
    from rich.text import Text

    if not column.tail or cell.cell_len <= width:
        return cell
    return Text(cut_head(cell.plain, width), style=cell.style)


def fitted(columns: Sequence[Column], contents: Sequence[Sequence[int]], room: int) -> dict[int, int]:
    """Return which columns are shown, by their place, and how wide each of them is. Pure.

    Args:
        columns: How each looks.
        contents: The widths of its cells.
        room: The width of the window.
    """
    needs = {at: _need(column, contents[at], room) for at, column in enumerate(columns)}
    while len(needs) > 1 and sum(need.least for need in needs.values()) > _inside(needs, room):
        lowest = min(columns[at].keep for at in needs if at > 0)
        del needs[max(at for at in needs if at > 0 and columns[at].keep == lowest)]
    widths = {at: need.wanted for at, need in needs.items()}
    for group in _giving_way(needs, room):
        _squeeze(widths, group, _inside(needs, room))
    if len(widths) == 1:
        widths = {at: max(1, min(width, room)) for at, width in widths.items()}
    return widths


def _inside(needs: dict[int, _Need], room: int) -> int:
    return room - _GAP * (len(needs) - 1)


def _need(column: Column, contents: Sequence[int], room: int) -> _Need:
    widest, title = max(contents, default=0), width_of(column.title)
    if column.right:
        return _Need(column, max(widest, title), max(widest, min(title, _LEAST_TITLE)))
    wanted = min(max(widest, title), column.most or room, room)
    least = max(_LEAST_WHOLE if column.whole else _LEAST_TEXT, title if column.named else 0)
    return _Need(column, wanted, min(wanted, least))


def _giving_way(needs: dict[int, _Need], room: int) -> Iterator[dict[int, int]]:
    """Yield columns that give way together, each with the least it keeps: whole ones that would take more
    than half the room, unless an id of the usual kind would be folded; elastic ones; other texts; headings of
    numbers; everything.
    """
    fair = max(_USUAL_WHOLE, room // 2)
    yield {at: min(need.wanted, max(need.least, fair)) for at, need in needs.items() if need.column.whole}
    for group in (
        [at for at, need in needs.items() if need.column.elastic],
        [at for at, need in needs.items() if not (need.column.right or need.column.whole)],
        [at for at, need in needs.items() if need.column.right],
        [*needs],
    ):
        yield {at: needs[at].least for at in group}


def _squeeze(widths: dict[int, int], least: dict[int, int], room: int) -> None:
    """Take room from the widest of some columns until all fit or none of these can give more."""
    while sum(widths.values()) > room:
        able = [at for at in least if widths[at] > least[at]]
        if not able:
            return
        widths[max(able, key=lambda at: widths[at])] -= 1
