"""`rrq embedded`: the project's own Redis by hand."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rrq_orchestrator.embedded import stop
from support.processes import run_module

MODULE = "rrq_orchestrator.embedded"


@pytest.fixture
def project() -> Iterator[Path]:
    """Serve a folder of a project, short enough for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="rrq-test-", dir="/tmp") as folder:
        yield Path(folder)
        for place in (".rrq", "data"):
            stop(Path(folder) / place)


def test_it_lives_until_it_is_stopped(project: Path) -> None:
    """Started, found and stopped by separate processes; each says what it did."""
    steps = [
        ("start", 0, "started: Valkey"),
        ("start", 0, "runs already: Valkey"),
        ("status", 0, "running: Valkey"),
        ("stop", 0, "stopped"),
        ("stop", 0, "not running"),
        ("status", 1, "not running"),
    ]
    for command, code, said in steps:
        ended = run_module(MODULE, command, cwd=project)
        assert (ended.returncode, ended.stderr) == (code, "")
        assert ended.stdout.startswith(said)


def test_the_settings_name_the_folder(project: Path) -> None:
    """Without --dir it is the folder that everybody else will look into."""
    (project / "rrq.toml").write_text('redis_dsn = "embedded://data"\n')
    answer = json.loads(run_module(MODULE, "start", "--json", cwd=project).stdout)
    assert answer["folder"] == str(project / "data")
    assert sorted(answer) == ["folder", "pid", "running", "socket", "started", "version"]


@pytest.mark.parametrize(
    ("settings", "arguments", "code", "said"),
    [
        ('redis_dsn = "redis://localhost"\n', (), 78, "no embedded server; name its folder with --dir"),
        ("redis_dsn = 1\n", (), 78, "redis_dsn"),
        ("", ("--dir", "rrq.toml"), 78, "cannot be used for an embedded server"),
        ("", ("--dir", "."), 78, "expected an empty folder"),
        ("", ("--odd",), 2, "--odd"),
    ],
    ids=["another Redis", "settings", "a file", "a full folder", "usage"],
)
def test_mistakes_are_told(
    project: Path, settings: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    """One message on standard error and the right exit code."""
    (project / "rrq.toml").write_text(settings)
    ended = run_module(MODULE, "start", *arguments, cwd=project)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
