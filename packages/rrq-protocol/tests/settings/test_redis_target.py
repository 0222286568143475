"""Which Redis the settings mean."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rrq_protocol.settings import SERVER_FILE, Provenance, Secret, Settings, load_settings, resolve_redis


def _server(folder: Path, pid: int, socket: str = "redis.sock") -> None:
    folder.mkdir(exist_ok=True)
    (folder / SERVER_FILE).write_text(json.dumps({"socket": socket, "pid": pid, "version": "9.0"}))


def _finished_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    "dsn", ["redis://u:canary@h:6379/2", "rediss://u:canary@h", "unix:///run/x.sock?db=1"]
)
def test_servers_of_your_own(dsn: str) -> None:
    """An ordinary DSN goes to the client as it is, and is shown without its password."""
    target = resolve_redis(Settings(redis_dsn=Secret(dsn)))
    assert target.url == Secret(dsn)
    assert "canary" not in target.display
    assert (target.problem, target.hint, target.embedded_dir) == (None, None, None)


def test_running_embedded_server(tmp_path: Path) -> None:
    """The socket is where server.json says, relative to its folder or absolute."""
    folder = tmp_path / ".rrq"
    _server(folder, os.getpid())
    settings = load_settings(environ={}, cwd=tmp_path)
    target = resolve_redis(settings, cwd=tmp_path)
    assert target.url == Secret(f"unix://{folder}/redis.sock")
    assert target.embedded_dir == str(folder)
    assert target.problem is None
    _server(folder, os.getpid(), "/run/a b.sock")
    assert resolve_redis(settings, cwd=tmp_path).url == Secret("unix:///run/a%20b.sock")


def test_folder_is_relative_to_the_file(tmp_path: Path) -> None:
    """All commands that read one rrq.toml find one server, wherever they are called."""
    config = tmp_path / "rrq.toml"
    config.write_text('redis_dsn = "embedded://data"')
    config.chmod(0o600)
    _server(tmp_path / "data", os.getpid())
    target = resolve_redis(load_settings(config, environ={}, cwd="/"), cwd="/")
    assert target.embedded_dir == str(tmp_path / "data")
    assert target.url is not None


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "{}",
        '{"socket": "a", "pid": "x"}',
        '{"socket": "a", "pid": 0}',
        '{"socket": "a", "pid": -1}',
    ],
)
def test_no_running_embedded_server(tmp_path: Path, content: str | None) -> None:
    """Missing or odd server.json: there is no address, and the text says what to start."""
    folder = tmp_path / "data"
    folder.mkdir()
    if content is not None:
        (folder / SERVER_FILE).write_text(content)
    target = resolve_redis(Settings(redis_dsn=Secret("embedded://data")), cwd=tmp_path)
    assert target.url is None
    assert target.problem == (
        f"no embedded Redis is running in {folder}: start it with `rrq dev` (or `rrq embedded start`), "
        "or set redis_dsn to a server of yours"
    )
    assert target.embedded_dir == str(folder)


def test_dead_embedded_server(tmp_path: Path) -> None:
    """A server.json left behind by a server that is gone counts as none."""
    _server(tmp_path / "data", _finished_pid())
    target = resolve_redis(Settings(redis_dsn=Secret("embedded://data")), cwd=tmp_path)
    assert target.url is None
    assert target.problem is not None


def test_nothing_set_falls_back_to_localhost(tmp_path: Path) -> None:
    """Without any setting and without a folder, localhost is tried, with a hint for when that fails."""
    for settings in (load_settings(environ={}, cwd=tmp_path), Settings()):
        target = resolve_redis(settings, cwd=tmp_path)
        assert target.url == Secret("redis://localhost:6379/0")
        assert target.hint == (
            "redis_dsn is not set: tried localhost:6379; start `rrq dev` for an embedded server, "
            "or set redis_dsn / RRQ_REDIS_DSN"
        )
        assert target.problem is None


def test_a_set_embedded_dsn_does_not_fall_back(tmp_path: Path) -> None:
    """Whoever asks for the embedded server gets it or hears why not, as does a folder that has one."""
    settings = load_settings(environ={"RRQ_REDIS_DSN": "embedded://.rrq"}, cwd=tmp_path)
    assert resolve_redis(settings, cwd=tmp_path).url is None
    (tmp_path / ".rrq").mkdir()
    assert resolve_redis(Settings(), cwd=tmp_path).url is None


def test_current_folder_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file and without a folder named, the process's own folder counts."""
    _server(tmp_path / ".rrq", os.getpid())
    monkeypatch.chdir(tmp_path)
    settings = Settings(provenance=Provenance())
    assert resolve_redis(settings).embedded_dir == str(tmp_path / ".rrq")
