"""The end of a JSON log is shown in words."""

import json
from pathlib import Path

from rrq_cli.demo.log_tail import last_lines
from support.cli import HOSTILE


def _log(folder: Path, *events: dict[str, str]) -> Path:
    path = folder / "log"
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def test_serious_events_are_chosen(tmp_path: Path) -> None:
    """Where there are warnings and errors they are shown, without time and traceback."""
    path = _log(
        tmp_path,
        {"level": "info", "event": "a"},
        {"level": "error", "event": "b", "timestamp": "t", "exception": "Traceback", "why": HOSTILE},
    )
    (line,) = last_lines(path)
    assert line.startswith("  b why=\\x1b[2J")
    assert "Traceback" not in line


def test_otherwise_the_last_events(tmp_path: Path) -> None:
    """Without any, the last few lines are shown."""
    lines = last_lines(_log(tmp_path, *({"level": "info", "event": str(n)} for n in range(20))))
    assert (len(lines), lines[-1]) == (8, "  19")


def test_what_is_no_event_is_shown(tmp_path: Path) -> None:
    """A line that is no JSON object, as a crash prints it, is shown as it is."""
    path = tmp_path / "log"
    path.write_text('{"event": "a"}\nSegmentation fault\n[1]\n')
    assert last_lines(path) == ["  Segmentation fault", "  [1]"]


def test_no_log_is_told(tmp_path: Path) -> None:
    """A log that is empty or missing is said to be."""
    assert last_lines(_log(tmp_path)) == ["  (it is empty)"]
    assert "cannot be read" in last_lines(tmp_path / "missing")[0]
