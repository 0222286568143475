"""The picture ``rrq top`` paints: header, keys, and five lists that share the room."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from rrq_cli.output import shown, titled
from rrq_cli.shapes import RunnerInfo
from rrq_cli.tables import Column, table
from rrq_cli.text import cut, escape
from rrq_cli.top import Overview, State
from rrq_cli.views.dead_letters import first_line
from rrq_cli.views.health import held, place
from rrq_cli.words import (
    age,
    clock_time,
    duration,
    is_sparkline,
    number,
    plural,
    rate,
    short_worker,
    sparkline,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["draw_top", "shares"]

# Lines of a list besides its rows: title, headings and rule; headings with the title among them; none.
_FULL, _TITLED, _BARE = 3, 1, 0
_KEYS = "Tab list  ↑↓ move  p pause/resume  c cancel  r requeue  q quit"


def shares(room: int, needs: Sequence[int]) -> list[int]:
    """Return how many rows each list gets: in turn one each, as long as it needs more and there is room."""
    given = [0] * len(needs)
    while room > 0 and any(have < need for have, need in zip(given, needs, strict=True)):
        for at, need in enumerate(needs):
            if room > 0 and given[at] < need:
                given[at] += 1
                room -= 1
    return given


def draw_top(out: "Console", seen: Overview, state: State, trouble: str | None = None) -> None:
    """Print the whole picture, at most as high as the window."""
    at = "" if seen.at is None else clock_time(seen.at, day=False)[:8]
    out.print(shown(cut(f"rrq top  {escape(seen.redis)}  {at}", out.width), "bold"), no_wrap=True)
    said, style = (trouble, "red") if trouble is not None else (state.message, "yellow")
    out.print(shown(cut(escape(said or _KEYS), out.width), style if said else "dim"), no_wrap=True)
    runners = _all_runners(seen)
    needs = [len(seen.queues), len(seen.orchestrators), len(runners), len(seen.running), len(seen.dead)]
    lists = [_queues, _orchestrators, _runners, _running, _dead]
    overhead = _overhead(out.height - 2, needs)
    empty = sum(not need for need in needs) if overhead else 0
    room = out.height - 2 - overhead * sum(map(bool, needs)) - empty
    spare = room - sum(needs)
    for draw, rows in zip(lists, shares(room, needs), strict=True):
        if draw is not _queues and overhead == _FULL and spare >= len(lists) - 1:
            out.print()
        if rows or overhead:
            draw(out, seen, state, rows, overhead)


def _overhead(room: int, needs: Sequence[int]) -> int:
    """Return the lines that go to titles and headings of each list: rows come first, two of each list if it
    has as many.
    """
    least = sum(min(need, 2) for need in needs)
    filled, empty = sum(map(bool, needs)), sum(not need for need in needs)
    return next((each for each in (_FULL, _TITLED) if room >= each * filled + empty + least), _BARE)


def _window(count: int, rows: int, cursor: int | None) -> range:
    """Return which entries are shown, so that the cursor is among them."""
    at = 0 if cursor is None else min(cursor, count - 1)
    start = max(0, at - rows + 1)
    return range(start, min(count, start + rows))


def _list(
    out: "Console", title: str, columns: Sequence[Column], cells: Sequence[Sequence[object]], rows: int,
    cursor: int | None, overhead: int,
) -> None:  # fmt: skip
    if 0 < rows < len(cells) and title.startswith(number(len(cells))):
        title = f"{number(rows)}/{title}"
    if overhead == _FULL or (overhead and not rows):
        titled(out, cut(title, out.width))
    if not rows:
        return
    if overhead == _TITLED:
        name = title.partition(", ")[0]  # no comma between thousands
        columns = [msgspec.structs.replace(columns[0], title=name, named=True), *columns[1:]]
    window = _window(len(cells), rows, cursor)
    marked = None if cursor is None else min(cursor, len(cells) - 1)
    picked = [[_cell(cell, at == marked) for cell in cells[at][: len(columns)]] for at in window]
    out.print(table(columns, picked, headings=overhead > _BARE, rule=overhead == _FULL))


def _cell(cell: object, marked: bool) -> "Text":
    from rich.text import Text

    text = cell.copy() if isinstance(cell, Text) else shown(cell)
    if marked and not is_sparkline(text.plain):  # which would say the opposite
        text.stylize("reverse")
    return text


def _cursor(state: State, pane: str) -> int | None:
    return state.cursor if state.pane == pane else None


def _queues(out: "Console", seen: Overview, state: State, rows: int, overhead: int) -> None:
    right = ("Ready", "Later", "Active", "Oldest", "1 min")
    columns = [
        Column("Queue"),
        *(Column(title, right=True) for title in right),
        Column("Hour", keep=1),
        Column(""),
    ]
    cells = [
        (
            each.name,
            number(each.ready),
            number(each.later),
            number(each.active),
            duration(each.oldest_ready_age_seconds),
            rate(each.per_second_1m),
            shown(sparkline(each.completed_per_minute, 12), "cyan"),
            shown("broken", "red") if each.problem else shown("paused" if each.paused else "", "yellow"),
        )
        for each in seen.queues
    ]
    _list(out, plural(len(cells), "queue"), columns, cells, rows, _cursor(state, "queues"), overhead)


_STATES = {"ready": "green", "live": "green", "broken": "red", "stray": "red", "lapsed": "red"}


def _coloured(state: str | None) -> "Text":
    return shown(state, _STATES.get(state or "", "yellow"))


def _orchestrators(out: "Console", seen: Overview, state: State, rows: int, overhead: int) -> None:
    now = seen.at or datetime.now(UTC)
    live = sum(each.state == "live" for each in seen.orchestrators)
    active = sum(each.active_jobs for each in seen.orchestrators)
    columns = [Column("Orchestrator", elastic=True), Column("State")]
    columns += [Column(title, right=True) for title in ("Held", "Lease", "Report")]
    columns += [Column("Queues", elastic=True, keep=-1), Column("Where", elastic=True, keep=-1)]
    cells = [
        (
            short_worker(each.id),
            _coloured(each.status if each.state == "live" and each.status == "stopping" else each.state),
            held(each),
            "–" if each.lease_seconds_left is None else duration(max(0.0, each.lease_seconds_left)),
            age(each.reported_at, now),
            ", ".join(each.queues) or None,
            place(each),
        )
        for each in seen.orchestrators
    ]
    if not any(map(place, seen.orchestrators)):
        columns.pop()
    title = f"{plural(live, 'live orchestrator')}, {plural(active, 'job')} held"
    _list(out, title, columns, cells, rows, None, overhead)


def _runners(out: "Console", seen: Overview, state: State, rows: int, overhead: int) -> None:
    columns = [
        Column("Runner", most=32),
        Column("State", most=12),
        Column("Busy", right=True),
        Column("Orchestrator", elastic=True),
        Column("Last error", elastic=True, keep=-1),
    ]
    cells = [
        (
            runner.name,
            _coloured(runner.state if runner.stale is msgspec.UNSET else "stale"),
            f"{number((runner.capacity or 0) - (runner.free or 0))}/{number(runner.capacity)}",
            short_worker(each.id),
            (runner.last_error or "").strip().split("\n")[0] if runner.state == "broken" else "",
        )
        for each in seen.orchestrators
        for runner in each.runners or ()
    ]
    if not any(error for *_, error in cells):
        columns.pop()
    busy = sum((runner.capacity or 0) - (runner.free or 0) for runner in _all_runners(seen))
    slots = sum(runner.capacity or 0 for runner in _all_runners(seen))
    title = f"{plural(len(cells), 'runner')}, {number(busy)} of {plural(slots, 'slot')} busy"
    _list(out, title, columns, cells, rows, None, overhead)


def _all_runners(seen: Overview) -> "list[RunnerInfo]":
    return [runner for each in seen.orchestrators for runner in each.runners or ()]


def _running(out: "Console", seen: Overview, state: State, rows: int, overhead: int) -> None:
    now = seen.at or datetime.now(UTC)
    columns = [Column("Job", elastic=True, tail=True), Column("Function"), Column("Queue", most=14)]
    columns += [Column("For", right=True), Column("On", elastic=True, keep=-1)]
    cells = [
        (
            each.id,
            each.function_name,
            each.queue_name,
            age(each.started_at, now),
            short_worker(each.worker_id or "–"),
        )
        for each in seen.running
    ]
    _list(out, plural(len(cells), "running job"), columns, cells, rows, _cursor(state, "running"), overhead)


def _dead(out: "Console", seen: Overview, state: State, rows: int, overhead: int) -> None:
    now = seen.at or datetime.now(UTC)
    columns = [Column("Job", elastic=True, tail=True), Column("Function"), Column("Age", right=True)]
    columns.append(Column("Error", elastic=True))
    cells = [
        (each.id, each.function_name, age(each.finished_at, now), first_line(each)) for each in seen.dead
    ]
    _list(out, plural(seen.dead_total, "dead letter"), columns, cells, rows, _cursor(state, "dead"), overhead)
