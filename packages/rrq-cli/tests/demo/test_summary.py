"""The end of the demo is a summary and commands that work when pasted."""

import io
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from rrq_cli.demo.plan import DemoPlan, write_config
from rrq_cli.demo.results import DeadFile, DemoResult, Function
from rrq_cli.demo.summary import next_commands, show_result
from support.cli import HOSTILE


@pytest.fixture
def result() -> DemoResult:
    """Return the result of a small run."""
    found = DemoResult(files=1790, enqueued=1790, completed=1781, dead_lettered=9, retried=18, seconds=16.9)
    found.jobs_per_second, found.exactly_once = 106.1, True
    found.functions, found.classes, found.lines = 58_754, 13_116, 857_247
    found.deepest_nesting, found.deepest_path = 26, "/lib/a.py"
    found.largest_functions = [
        Function(path="/lib/test/b.py", name="test_b", line=15, lines=671, job_id="j1")
    ]
    found.dlq = [
        DeadFile(path=f"/lib/{n}.py", error="SyntaxError: no", job_id=f"d{n}", attempts=3) for n in range(15)
    ]
    return found


def test_the_summary(result: DemoResult, shown_at_80: Callable[..., str]) -> None:
    """Totals that add up, the largest functions, the dead letters, and what to do next, on 80 columns."""
    result.commands = {
        "queue": "rrq queue stats",
        "trace": "rrq job trace d0",
        "dlq": "rrq dlq list",
        "stop": "s",
    }
    text = shown_at_80(show_result, result, Path("/lib"))
    assert text.startswith(
        "\n✓ 1,790 files in 16.9 s, 106 jobs/s, each processed exactly once\n"
        "  1,790 enqueued = 1,781 completed + 9 dead letters; 18 retries on the way\n"
        "  58,754 functions and 13,116 classes in 857,247 lines\n"
        "  nested most: a.py, 26 blocks deep\n"
    )
    assert "  671  test_b    test/b.py:15\n" in text
    assert "… and 3 more\n" in text
    assert text.endswith("  rrq queue stats\n  rrq job trace d0\n  rrq dlq list\nStop Valkey\n  s\n")
    assert max(map(len, text.splitlines())) <= 80


def test_disagreements_and_hostile_names(result: DemoResult, shown_at_80: Callable[..., str]) -> None:
    """Findings are shown in place of the promise; file names drive no terminal."""
    result.exactly_once, result.findings = False, ["2 jobs stand for 1 different files"]
    result.dlq = [DeadFile(path=HOSTILE, error=HOSTILE, job_id="d", attempts=3)]
    result.commands = {"stop": "s"}
    text = shown_at_80(show_result, result, Path("/lib"))
    assert "✗ the figures do not agree" in text
    assert "! 2 jobs stand for 1 different files" in text
    assert {char for char in text if not char.isprintable()} == {"\n"}


def test_nothing_dead_is_told(result: DemoResult, shown_at_80: Callable[..., str]) -> None:
    """Where every file could be parsed, that is said."""
    result.dlq, result.largest_functions, result.commands = [], [], {"stop": "s"}
    assert "every file could be parsed" in shown_at_80(show_result, result, Path("/lib"))


def test_commands_name_the_settings_where_needed(
    result: DemoResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every command finds the folder by itself they are short, else they name the demo's settings."""
    for name in ("RRQ_REDIS_DSN", "RRQ_KEY_PREFIX", "RRQ_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".rrq").mkdir()
    plan = DemoPlan(Path("/lib"), tmp_path / ".rrq", 1)
    write_config(plan)
    short = next_commands(plan, result)
    assert short["queue"].endswith("queue stats")
    assert short["trace"].endswith("job trace d0")
    assert short["stop"].endswith("embedded stop")
    (tmp_path / "rrq.toml").write_text("[rrq]\nredis_dsn = 'redis://localhost'\n")
    long = next_commands(plan, result)
    assert long["dlq"].endswith("dlq list --config .rrq/demo.toml")
    assert long["stop"].endswith("embedded stop --dir .rrq")
    (tmp_path / "rrq.toml").write_text("broken")
    assert next_commands(plan, result) == long


def test_commands_call_this_very_rrq(
    result: DemoResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command on PATH is used only if it is this one; a path below this folder is relative."""
    ours = Path(sys.executable).with_name("rrq")
    plan = DemoPlan(Path("/lib"), tmp_path, 1)
    for name in [name for name in os.environ if name.startswith("RRQ_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", str(ours.parent))
    assert next_commands(plan, result)["queue"].startswith("rrq ")
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(ours.parent.parent)
    assert next_commands(plan, result)["queue"].startswith("bin/rrq ")
    monkeypatch.chdir(tmp_path)
    assert next_commands(plan, result)["queue"].startswith(f"{shlex.quote(str(ours))} ")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert " -m rrq_cli " in next_commands(plan, result)["queue"]


def test_exported_variables_lead_no_command_astray(
    result: DemoResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the shell's own variables mean another Redis, the commands unset them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".rrq").mkdir()
    plan = DemoPlan(Path("/lib"), tmp_path / ".rrq", 1)
    write_config(plan)
    for name in [name for name in os.environ if name.startswith("RRQ_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RRQ_REDIS_DSN", "redis://elsewhere")
    monkeypatch.setenv("RRQ_KEY_PREFIX", "other")
    commands = next_commands(plan, result)
    assert commands["queue"].startswith("env -u RRQ_KEY_PREFIX -u RRQ_REDIS_DSN ")
    assert commands["queue"].endswith(" queue stats --config .rrq/demo.toml")
    assert commands["stop"].endswith("embedded stop --dir .rrq")
    monkeypatch.delenv("RRQ_REDIS_DSN")
    assert next_commands(plan, result)["queue"].startswith("env -u RRQ_KEY_PREFIX ")
    (tmp_path / ".env").write_text("RRQ_REDIS_DSN=redis://elsewhere\n")
    commands = next_commands(plan, result)
    assert f"--redis-dsn embedded://{tmp_path / '.rrq'} --prefix rrq" in commands["queue"]


@pytest.mark.parametrize("width", [24, 40, 80])
def test_numbers_are_whole_however_long_the_names(result: DemoResult, width: int) -> None:
    """Long names of files give way to the figures beside them, in a narrow window too."""
    for at in range(3):
        long = Function(path="/lib/" + "deep/" * 60, name="n" * 90, line=1, lines=12_345 + at, job_id="j")
        result.largest_functions.append(long)
    result.commands = {"stop": "s"}
    out = io.StringIO()
    show_result(Console(file=out, width=width, markup=False, emoji=False), result, Path("/lib"))
    text = out.getvalue()
    assert all(figure in text for figure in ("12,345", "12,346", "12,347"))
    assert max(map(len, text.splitlines())) <= width
