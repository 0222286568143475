"""`rrq worker watch` as a real process: files are saved, handlers run, nothing is left behind."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rrq_orchestrator.embedded import status, stop
from rrq_producer import Producer
from rrq_protocol import JobStatus, Keyspace
from support.processes import Command, wait_until_gone

WATCH = "from rrq_orchestrator.commands import worker; worker(prog_name='rrq worker')"
DEV = "from rrq_orchestrator.commands import dev; dev(prog_name='rrq dev')"
SETTINGS = '[rrq]\n[rrq.runners.python]\napp = "handlers:registry"\n'
HANDLERS = """\
import asyncio, os
from rrq_runner import Context, Registry

registry = Registry()


@registry.handler("version")
async def version(ctx: Context) -> str:
    return "{version}"


@registry.handler("long")
async def long(ctx: Context) -> str:
    print("pid", os.getpid(), flush=True)
    {body}
    return "{version}"
"""
WAITING = "await asyncio.sleep(600)"
BLOCKING = "import time; time.sleep(600)"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with settings and handlers."""
    (tmp_path / "rrq.toml").write_text(SETTINGS)
    _save(tmp_path, "one", WAITING)
    return tmp_path


@pytest.fixture
def producer(redis_url: str, keyspace: Keyspace) -> Iterator[Producer]:
    """Serve a producer."""
    with Producer(redis_url, key_prefix=keyspace.prefix) as made:
        yield made


@pytest.fixture
def environment(redis_url: str, keyspace: Keyspace) -> dict[str, str]:
    """Return the variables that name this test's Redis."""
    return {"RRQ_REDIS_DSN": redis_url, "RRQ_KEY_PREFIX": keyspace.prefix, "RRQ_LOG_FORMAT": "json"}


def _save(folder: Path, version: str, body: str = "pass") -> None:
    # At once, as one change: emptied and then written may be two, to who looks in between.
    new = folder.with_name(f"{folder.name}.new")
    new.write_text(HANDLERS.format(version=version, body=body))
    new.replace(folder / "handlers.py")


def _result(producer: Producer) -> object:
    job = producer.enqueue("version")
    return producer.wait(job.id, timeout=60).result


@pytest.mark.parametrize("body", [WAITING, BLOCKING])
def test_a_save_restarts_and_running_jobs_are_given_back(
    project: Path, producer: Producer, environment: dict[str, str], body: str
) -> None:
    """The job starts over under the new code, and no attempt is counted; Ctrl-C ends every process."""
    _save(project, "one", body)
    with Command("-c", WATCH, "watch", cwd=project, env=environment) as watch:
        job = producer.enqueue("long", max_retries=1)
        watch.wait_for('"pid ')
        old = int(watch.wait_for('"pid ').partition('"pid ')[2].partition('"')[0])
        _save(project, "two")
        ended = producer.wait(job.id, timeout=60)
        assert (ended.status, ended.result) == (JobStatus.COMPLETED, "two")
        wait_until_gone([old])
        (changed,) = watch.named("watch.changed")
        assert changed["files"] == ["handlers.py"]
        # The result may be here before the line about it.
        starts = watch.told("runner.started", 2)
        assert len(starts) == 2
        assert not watch.named("job.retried")
        watch.kill(signal.SIGINT)
        assert watch.code() == 0
        wait_until_gone([event["pid"] for event in starts if "pid" in event])
        assert "Traceback" not in "".join(watch.lines)


def test_mistakes_wait_for_the_next_change(
    project: Path, producer: Producer, environment: dict[str, str]
) -> None:
    """In the code, in the settings, and in a command that runs before each start."""
    check = f"{sys.executable} check.py"
    generate = "open('gen.py', 'w').write('x = 1')"
    (project / "check.py").write_text(generate)
    with Command("-c", WATCH, "watch", "--pre-restart-cmd", check, cwd=project, env=environment) as watch:
        assert _result(producer) == "one"
        (project / "handlers.py").write_text("def registry(:\n")
        watch.wait_for("SyntaxError")
        _save(project, "two")
        assert _result(producer) == "two"
        (project / "rrq.toml").write_text("[rrq]\nlease_seconds = -1\n")
        assert "lease_seconds" in watch.wait_for("watch.not_started")
        watch.wait_for("watch.waiting")
        _save(project, "three")
        (project / "rrq.toml").write_text(SETTINGS)
        assert _result(producer) == "three"
        (project / "check.py").write_text("raise SystemExit(4)")
        assert "exited with 4" in watch.wait_for("watch.command_failed")
        _save(project, "four")
        (project / "check.py").write_text(generate)
        assert _result(producer) == "four"
        watch.kill(signal.SIGTERM)
        assert watch.code() == 0
        # What the command writes is seen once: the same again is no change.
        assert sum("gen.py" in event["files"] for event in watch.named("watch.changed")) <= 1


@pytest.mark.parametrize("named", [False, True])
def test_a_settings_file_that_is_gone_is_waited_for(
    project: Path, producer: Producer, environment: dict[str, str], named: bool
) -> None:
    """Found or named at the start, it does not become "no file" with the defaults, which mean another Redis;
    once it is back the worker runs."""
    arguments = ("--config", "rrq.toml") if named else ()
    with Command("-c", WATCH, "watch", *arguments, cwd=project, env=environment) as watch:
        assert _result(producer) == "one"
        (project / "rrq.toml").rename(project / "rrq.away")
        assert "rrq.toml: the settings file is gone" in watch.wait_for("watch.not_started")
        (project / "rrq.away").rename(project / "rrq.toml")
        assert _result(producer) == "one"


def test_options_say_which_files_count(
    project: Path, producer: Producer, environment: dict[str, str]
) -> None:
    """Only the last of these saves restarts, as its log tells."""
    (project / "in").mkdir()
    (project / ".gitignore").write_text("gen.txt\n")
    options = ("--path", "in", "--pattern", "*.txt", "--ignore-pattern", "skip*", "--queue", "default=2")
    with Command("-c", WATCH, "watch", *options, cwd=project, env=environment) as watch:
        watch.wait_for("runner.started")
        for name in ("a.txt", "in/a.py", "in/skip.txt", "in/last.txt"):
            (project / name).write_text("x")
        watch.wait_for("watch.changed")
        assert _result(producer) == "one"
        assert [event["files"] for event in watch.named("watch.changed")] == [["last.txt"]]
        watch.kill(signal.SIGINT)
        assert watch.code() == 0


def test_handlers_named_on_the_command_line(
    tmp_path: Path, producer: Producer, environment: dict[str, str]
) -> None:
    """They are served by a process that is replaced at each change, without any settings file."""
    _save(tmp_path, "one")
    options = ("--settings", "handlers:registry")
    with Command("-c", WATCH, "watch", *options, cwd=tmp_path, env=environment) as watch:
        assert _result(producer) == "one"
        _save(tmp_path, "two")
        watch.told("runner.started", 2)
        assert _result(producer) == "two"
        watch.kill(signal.SIGINT)
        assert watch.code() == 0


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--settings", "no attribute"), 78, "expected pkg.module:attr"),
        (("--settings", "no.such.module"), 78, "no module named 'no'"),
        (("--path", "none"), 78, "rrq.watch.path: expected a folder, got 'none'"),
        (("--pre-restart-cmd", "'open"), 2, "--pre-restart-cmd"),
    ],
)
def test_wrong_options_are_told(tmp_path: Path, options: tuple[str, ...], code: int, said: str) -> None:
    """What is wrong from the start ends the command, without a traceback."""
    program = f"import sys; sys.argv[1:] = {['watch', *options]!r}; {WATCH}"
    with Command("-c", program, cwd=tmp_path, env={"RRQ_REDIS_DSN": "redis://127.0.0.1:1"}) as watch:
        assert watch.code() == code
        text = "\n".join(watch.lines)
    assert said in text
    assert "Traceback" not in text


def test_dev_can_watch(project: Path) -> None:
    """The embedded Redis stays over a restart, and ends with the command."""
    (project / "rrq.toml").write_text(SETTINGS.replace("[rrq]", '[rrq]\nredis_dsn = "embedded://.rrq"'))
    try:
        with Command("-c", DEV, "--watch", "--log-format", "json", cwd=project) as dev:
            dev.wait_for("runner.started")
            server = status(project / ".rrq")
            assert server is not None
            _save(project, "two")
            dev.told("runner.started", 2)  # until it is stopped, the one before may still take a job
            with Producer(f"unix://{server.socket}") as producer:
                assert _result(producer) == "two"
            dev.kill(signal.SIGINT)
            assert dev.code() == 0
            wait_until_gone([server.pid])
    finally:
        stop(project / ".rrq")
