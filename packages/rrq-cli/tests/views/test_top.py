"""The picture of `rrq top`, in windows of any size."""

import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from rich.cells import cell_len
from rich.console import Console

from rrq_cli.shapes import JobRow, OrchestratorInfo, QueueStats, RunnerInfo
from rrq_cli.top import Overview, State
from rrq_cli.views.top import draw_top, shares
from support.cli import HOSTILE

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


START = State()


def drawn(
    seen: Overview, state: State = START, *, size: tuple[int, int] = (80, 24), trouble: str | None = None
) -> str:
    """Return the picture as text."""
    out = io.StringIO()
    console = Console(file=out, width=size[0], height=size[1], markup=False, emoji=False, highlight=False)
    draw_top(console, seen, state, trouble)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def many(text: str = "x") -> Overview:
    """Return more of everything than fits."""
    return Overview(
        at=AT,
        redis=text,
        queues=[QueueStats(name=f"{text}{n}", ready=n, paused=n == 1) for n in range(30)],
        orchestrators=[
            OrchestratorInfo(
                id=f"{text}{n}",
                state="live",
                runners=[RunnerInfo(name=text, state="ready", capacity=4, free=1)],
            )
            for n in range(30)
        ],
        running=[
            JobRow(id=f"{text}{n}", function_name=text, queue_name=text, worker_id=text) for n in range(30)
        ],
        dead=[JobRow(id=f"{text}{n}", function_name=text, last_error=text) for n in range(30)],
        dead_total=400,
    )


def test_room_is_shared() -> None:
    """In turn, none more than it needs."""
    assert shares(10, [3, 9, 0, 2]) == [3, 5, 0, 2]
    assert shares(2, [5, 5, 5, 5]) == [1, 1, 0, 0]
    assert shares(-4, [5]) == [0]
    assert shares(99, [1, 2]) == [1, 2]


def test_a_runner_that_could_not_be_replaced_is_stale() -> None:
    """It takes jobs, and is not what it should be."""
    runner = RunnerInfo(name="python", state="ready", capacity=4, free=2, stale=1)
    seen = Overview(redis="", orchestrators=[OrchestratorInfo(id="w1", state="live", runners=[runner])])
    assert re.search(r"^python +stale +2/4 +w1$", drawn(seen), re.MULTILINE)


def test_a_small_installation() -> None:
    """One of each, all of it on one picture of 80 columns."""
    seen = Overview(
        redis="redis://h:1/0",
        queues=[QueueStats(name="default", ready=3, later=1, active=2, oldest_ready_age_seconds=2.1)],
        orchestrators=[
            OrchestratorInfo(
                id="w1", state="live", active_jobs=2,
                runners=[RunnerInfo(name="python", state="ready", capacity=4, free=2)],
            )
        ],
        running=[JobRow(id="j1", function_name="send", queue_name="default", worker_id="w1")],
        dead=[JobRow(id="j2", function_name="send", last_error="ValueError: boom")],
        dead_total=1,
    )  # fmt: skip
    picture = re.sub("─+\n", "", drawn(seen))
    assert picture == (
        "rrq top  redis://h:1/0\n"
        "Tab list  ↑↓ move  p pause/resume  c cancel  r requeue  q quit\n"
        "1 queue\n"
        "Queue    Ready  Later  Active  Oldest  1 min  Hour\n"
        "default      3      1       2   2.1 s      0\n"
        "1 live orchestrator, 2 jobs held\n"
        "Orchestrator  State  Held  Lease  Report  Queues\n"
        "w1            live      2      –       –  –\n"
        "1 runner, 2 of 4 slots busy\n"
        "Runner  State  Busy  Orchestrator\n"
        "python  ready   2/4  w1\n"
        "1 running job\n"
        "Job  Function  Queue    For  On\n"
        "j1   send      default    –  w1\n"
        "1 dead letter\n"
        "Job  Function  Age  Error\n"
        "j2   send        –  ValueError: boom\n"
    )


def test_orchestrators_and_what_their_runners_say() -> None:
    """Whether each lives, what it holds, how old lease and report are, and why a runner is broken."""
    seen = Overview(
        at=AT,
        orchestrators=[
            OrchestratorInfo(
                id="w1", state="live", status="stopping", active_jobs=3, concurrency_limit=8, host="h", pid=7,
                lease_seconds_left=8.25, reported_at=AT - timedelta(seconds=4), queues=["a", "b"],
                runners=[RunnerInfo(name="rust", state="broken", last_error="no such file\nmore")],
            ),
            OrchestratorInfo(id="rrq_worker_h_8_" + "0" * 32, state="lapsed", host="h", pid=8),
        ],
    )  # fmt: skip
    lines = [line.split() for line in drawn(seen, size=(120, 40)).splitlines()]
    assert ["w1", "stopping", "3/8", "8.2", "s", "4", "s", "a,", "b", "h:7"] in lines
    assert ["h:8", "lapsed", "0", "–", "–", "–", "–"] in lines
    assert ["rust", "broken", "0/–", "w1", "no", "such", "file"] in lines


def test_where_there_is_room_lists_stand_apart() -> None:
    """A blank line between them in a window that has it to spare."""
    assert drawn(many(), size=(120, 200)).count("\n\n") == 4
    assert "\n\n" not in drawn(many(), size=(120, 60))


def test_the_bars_of_the_marked_queue_stay_as_they_are() -> None:
    """In reverse they would say the opposite."""
    queue = QueueStats(name="q", completed_per_minute=[0] * 59 + [5])
    out = io.StringIO()
    console = Console(
        file=out, width=80, height=24, force_terminal=True, color_system="standard", no_color=False
    )
    draw_top(console, Overview(queues=[queue]), START)
    (line,) = [line for line in out.getvalue().splitlines() if "█" in line]
    assert "\x1b[7mq\x1b[0m" in line
    assert "\x1b[36m▁▁▁▁▁▁▁▁▁▁▁█\x1b[0m" in line


def test_where_room_is_scarce_the_title_is_among_the_headings() -> None:
    """One line for both, and no rule, so that rows are not without a name in 24 lines. It says how
    many rows there are besides those shown.
    """
    lines = [line.split() for line in drawn(many(), size=(80, 24)).splitlines()]
    assert ["4/30", "queues", "Ready", "Later", "Active", "Oldest", "1", "min", "Hour"] in lines
    assert any(line[:3] == ["4/30", "live", "orchestrators"] and "Report" in line for line in lines)
    assert not any("─" in word for line in lines for word in line)


def test_a_number_of_thousands_is_whole_in_the_headings() -> None:
    """However long the list and narrow its first column, the heading says how many there are."""
    seen = many()
    seen.dead_total, seen.dead = (
        1523,
        [JobRow(id="0198f3c2-1c5e-7a31-9a52-6d0ef4a1b001", function_name="f" * 60)],
    )
    seen.dead[0].last_error = "e" * 90
    lines = [line.split() for line in drawn(seen).splitlines()]
    assert ["1,523", "dead", "letters", "Function", "Age", "Error"] in lines


@pytest.mark.parametrize("size", [(80, 24), (200, 60), (40, 10), (20, 5)])
@pytest.mark.parametrize("text", ["x", HOSTILE, "日本語"])
def test_a_picture_fits_its_window(size: tuple[int, int], text: str) -> None:
    """No line is too wide, nothing drives the terminal, and where there is room for lists, they all fit."""
    picture = drawn(many(text), size=size)
    assert {char for char in picture if not char.isprintable()} == {"\n"}
    lines = picture.splitlines()
    assert all(cell_len(line) <= size[0] for line in lines)
    assert len(lines) <= max(size[1], 6)


def test_the_cursor_is_in_sight() -> None:
    """Whatever it stands on is shown, in a list longer than its share too."""
    seen = many()
    assert "x29" in drawn(seen, State("queues", 29))
    assert "x29" in drawn(seen, State("dead", 99))
    assert "x29" not in drawn(seen)


def test_what_was_said_takes_the_place_of_the_keys() -> None:
    """A message, or trouble with Redis, which comes first."""
    asked = State(message="cancel job j? y/n")
    assert "cancel job j? y/n\n" in drawn(Overview(), asked)
    assert "Redis is gone\n" in drawn(Overview(), asked, trouble="Redis is gone")


def test_a_tiny_window_shows_rows_first() -> None:
    """On 8 lines of 40 columns titles and headings go, and every list has a row."""
    lines = drawn(many(), size=(40, 8)).splitlines()
    assert len(lines) == 8
    assert not any(title in line for line in lines for title in ("queues", "running jobs", "dead letters"))
    assert sum(line.startswith("x") for line in lines[2:]) == 6
    few = Overview(queues=[QueueStats(name="default", ready=3)])
    assert any(line.startswith("default") for line in drawn(few, size=(40, 8)).splitlines())
