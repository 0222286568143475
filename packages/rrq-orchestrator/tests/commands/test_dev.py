"""`rrq dev` as a real process: Redis, orchestrator and handlers together."""

import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from rrq_orchestrator.commands.dev import EXAMPLE_HANDLERS, EXAMPLE_SETTINGS
from rrq_orchestrator.commands.doctor import doctor
from rrq_orchestrator.embedded import start, status, stop
from rrq_protocol import Keyspace
from support.commands import command_runner
from support.processes import Command, wait_until_gone
from support.transitions import Transitions
from support.waiting import eventually

DEV = "from rrq_orchestrator.commands import dev; dev(prog_name='rrq dev')"


@pytest.fixture
def project() -> Iterator[Path]:
    """Serve a project made as `rrq dev` itself advises."""
    with tempfile.TemporaryDirectory(prefix="rrq-test-", dir="/tmp") as name:
        folder = Path(name)
        (folder / "rrq.toml").write_text(EXAMPLE_SETTINGS + "pool_size = 1\n")
        (folder / "handlers.py").write_text(EXAMPLE_HANDLERS)
        yield folder
        stop(folder / ".rrq")


def _server_pid(folder: Path) -> int:
    server = status(folder / ".rrq")
    assert server is not None
    with redis.Redis(unix_socket_path=server.socket) as client:
        assert client.ping()
    return server.pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_its_own_advice_works_and_everything_ends_with_it(project: Path, number: int) -> None:
    """The two files it shows start a runner; Ctrl-C, or the end of the terminal, leaves no process."""
    with Command("-c", DEV, cwd=project) as dev:
        line = dev.wait_for("after=ready")
        assert line.split()[1] == "info"
        pid = _server_pid(project)
        dev.kill(number)
        assert dev.code() == 0
        wait_until_gone([pid])
    assert status(project / ".rrq") is None


def test_a_kill_leaves_no_server(project: Path) -> None:
    """Not even kill -9 does."""
    with Command("-c", DEV, cwd=project) as dev:
        dev.wait_for("orchestrator.registered")
        pid = _server_pid(project)
        dev.kill(signal.SIGKILL)
        dev.code()
        wait_until_gone([pid])


def test_each_job_is_told_and_nothing_is_left_open_at_the_end(project: Path) -> None:
    """A developer sees it start and complete, one line each whatever it says; and Python's development mode,
    which watches descriptors, sockets and pipes, has nothing to complain of."""
    with Command("-c", DEV, cwd=project, env={"PYTHONDEVMODE": "1"}) as dev:
        dev.wait_for("after=ready")
        server = status(project / ".rrq")
        assert server is not None
        with redis.Redis(unix_socket_path=server.socket) as client:
            jobs = Transitions(client, Keyspace())
            jobs.now_ms = round(time.time() * 1000)
            jobs.add("evil", function_name="hello", params={"name": "\x1b[2J\nfake"})
        assert "function=hello waited_s=" in dev.wait_for("job.started")
        ended = dev.wait_for("job.completed")
        assert "job_id=evil queue=default" in ended
        assert ended.endswith('result="Hello, \\x1b[2J\\nfake!"')
        said = command_runner({"RRQ_REDIS_DSN": f"unix://{server.socket}"}).invoke(doctor, ["--json"])
        told = json.loads(said.stdout)
        told = [*told["findings"], *(each for each in told["server"] if each["subject"] != "version")]
        assert {each["level"] for each in told} == {"ok"}
        dev.kill(signal.SIGTERM)
        assert dev.code() == 0
        complaints = [line for line in dev.lines if "ResourceWarning" in line or "never awaited" in line]
        assert complaints == []


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_the_server_stays_for_a_second_one(project: Path, end: int) -> None:
    """Whoever started it may go, in order or not: the other one goes on with it, and takes it along."""
    with Command("-c", DEV, cwd=project) as first:
        first.wait_for("orchestrator.registered")
        pid = _server_pid(project)
        with Command("-c", DEV, cwd=project) as second:
            second.wait_for("after=ready")
            first.kill(end)
            first.code()
            assert _server_pid(project) == pid
            second.kill(signal.SIGINT)
            assert second.code() == 0
            assert not any("redis.lost" in line for line in second.lines)
            wait_until_gone([pid])
    assert status(project / ".rrq") is None


def test_a_killed_server_is_started_again(project: Path) -> None:
    """By whoever lives of those who use it, once; data and address are the same, and work goes on."""
    with Command("-c", DEV, cwd=project) as first, Command("-c", DEV, cwd=project) as second:
        for dev in (first, second):
            dev.wait_for("orchestrator.registered")
        pid = _server_pid(project)
        server = status(project / ".rrq")
        assert server is not None
        with redis.Redis(unix_socket_path=server.socket) as client:
            client.set("kept", "yes")
            os.kill(pid, signal.SIGKILL)
            eventually(
                lambda: "embedded.restarted" in "".join([*first.lines, *second.lines]),
                "one of them to start it again",
            )
            for dev in (first, second):
                dev.wait_for("redis.back")
            assert client.get("kept") == b"yes"
        assert "".join([*first.lines, *second.lines]).count("embedded.restarted") == 1
        assert _server_pid(project) != pid
        for dev in (first, second):
            dev.kill(signal.SIGINT)
            assert dev.code() == 0
    assert status(project / ".rrq") is None


def test_a_server_that_was_stopped_is_not_started_again(project: Path) -> None:
    """`rrq embedded stop` means it, whoever uses the server; a start by hand brings it back for all."""
    with Command("-c", DEV, cwd=project) as dev:
        dev.wait_for("orchestrator.registered")
        assert stop(project / ".rrq")
        lost = dev.wait_for("redis.lost")
        assert "rrq dev" in lost
        time.sleep(1)  # what starts it again looks four times a second
        assert status(project / ".rrq") is None
        start(project / ".rrq", tied=False)
        dev.wait_for("redis.back")
        dev.kill(signal.SIGINT)
        assert dev.code() == 0
    assert status(project / ".rrq") is not None


def test_without_a_project_it_shows_what_to_create(tmp_path: Path) -> None:
    """A settings file and a handler file, ready to copy; nothing is created unasked."""
    with Command("-c", DEV, cwd=tmp_path) as dev:
        assert dev.code() == 78
        text = "\n".join(dev.lines)
    for example in (EXAMPLE_SETTINGS, EXAMPLE_HANDLERS):
        for line in example.splitlines():
            assert line in text
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_runners_is_pointed_out(tmp_path: Path) -> None:
    """With the file's name and the lines it lacks."""
    (tmp_path / "rrq.toml").write_text("[rrq]\n")
    with Command("-c", DEV, cwd=tmp_path) as dev:
        assert dev.code() == 78
        text = "\n".join(dev.lines)
    assert f"no runner is configured in {tmp_path / 'rrq.toml'}" in text
    assert "[rrq.runners.python]" in text


def test_another_redis_is_used_as_it_is(project: Path, redis_url: str) -> None:
    """With a redis_dsn of its own the project needs no embedded server."""
    with Command(
        "-c", DEV, cwd=project, env={"RRQ_REDIS_DSN": redis_url, "RRQ_KEY_PREFIX": "rrq-test-dev"}
    ) as dev:
        dev.wait_for("orchestrator.registered")
        dev.kill(signal.SIGINT)
        assert dev.code() == 0
    assert not (project / ".rrq").exists()
