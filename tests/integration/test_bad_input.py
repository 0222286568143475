"""What people get wrong, through the real commands: one message that says what to do, the right exit code,
and no job lost. Bad data that is stored or sent is in test_bad_data.py.
"""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import redis

from rrq_producer import Producer, RedisRefused, RedisUnavailable
from rrq_protocol import Job, JobStatus, PayloadTooLarge, SettingsError
from support.processes import Command
from support.redis_servers import RedisServer, free_port
from support.road import Road

PASSWORD = "canary-8f14e45f"
# Every command that reads the settings, and what it ends with when Redis cannot be used.
COMMANDS = {
    "rrq queue list": ("rrq_cli", "queue", "list"),
    "rrq check": ("rrq_cli", "check"),
    "rrq debug submit": ("rrq_cli", "debug", "submit", "work"),
}
WORKERS = {
    "rrq-orchestrator": ("rrq_orchestrator",),
    "rrq worker run": ("rrq_cli", "worker", "run"),
}


def _refused(ended: CompletedProcess[str], code: int, *words: str) -> None:
    """Check how a command ended that was called wrongly: one message, in which these words are."""
    assert ended.returncode == code, ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert ended.stderr.startswith("rrq")
    assert ended.stderr.count("rrq: ") == 1, ended.stderr
    for word in words:
        assert word in ended.stderr


def _said_once(daemon: Command, event: str, *words: str) -> None:
    """Check that a daemon says something once, however often it happens."""
    line = daemon.wait_for(event)
    for word in words:
        assert word in line
    assert len(daemon.named(event)) == 1, daemon.lines


# Settings.


@pytest.mark.parametrize("command", list(COMMANDS | WORKERS))
def test_a_wrong_key_is_named_with_the_nearest_right_one(road: Road, command: str) -> None:
    """By every command alike: exit code 78, all problems at once."""
    (road.folder / "rrq.toml").write_text(
        '[rrq]\nredis_dns = "x"\n\n[rrq.runners.python]\napp = "a:b"\npool_size = 0\n'
    )
    ended = road.command(*(COMMANDS | WORKERS)[command], "--config", "rrq.toml")
    _refused(
        ended, 78, "2 problems", "rrq.redis_dns", 'did you mean "redis_dsn"', "rrq.runners.python.pool_size"
    )


def test_a_wrong_key_is_named_to_a_producer(road: Road) -> None:
    """The exception lists the problems, with the file they are in."""
    file = road.folder / "rrq.toml"
    file.write_text('[rrq]\nredis_dns = "x"\n')
    with pytest.raises(SettingsError, match=r'rrq\.redis_dns.*did you mean "redis_dsn"'):
        Producer.from_settings(file)


@pytest.mark.parametrize("command", ["rrq queue list", "rrq-orchestrator", "rrq worker run"])
def test_an_unknown_option_is_wrong_usage(road: Road, command: str) -> None:
    """Exit code 2, and the option is named."""
    ended = road.command(*(COMMANDS | WORKERS)[command], "--no-such-option")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "--no-such-option" in ended.stderr
    assert "Traceback" not in ended.stderr


# Redis.


@pytest.mark.parametrize("command", list(COMMANDS))
def test_an_unreachable_redis_is_told(road: Road, command: str) -> None:
    """The address that was tried, and how to name another; exit code 1."""
    port = free_port()
    road.configure(redis_dsn=f"redis://:{PASSWORD}@127.0.0.1:{port}/0")
    ended = road.command(*COMMANDS[command], "--config", "rrq.toml")
    _refused(ended, 1, "cannot reach Redis", f"127.0.0.1:{port}", "--redis-dsn")
    assert PASSWORD not in ended.stderr


def test_an_unreachable_redis_is_told_to_a_producer(road: Road) -> None:
    """After the time it was given: what was tried, and that it was tried more than once."""
    port = free_port()
    dsn = f"redis://:{PASSWORD}@127.0.0.1:{port}"
    with (
        Producer(dsn, timeout_seconds=0.5) as producer,
        pytest.raises(RedisUnavailable, match=rf"127\.0\.0\.1:{port}.*attempts") as caught,
    ):
        producer.enqueue("work")
    assert PASSWORD not in str(caught.value)


def test_a_daemon_waits_for_redis_and_says_so(own_redis: RedisServer, own_road: Road) -> None:
    """Once, not once per attempt; when Redis comes, the job that was enqueued before is executed."""
    job = own_road.producer.enqueue("work", {"number": 3})
    own_redis.stop()
    with own_road.start() as daemon:
        _said_once(daemon, "redis.lost", own_redis.url.split("//")[1].split("/")[0])
        own_redis.start()
        own_road.ready(daemon)
        assert own_road.result(job.id).result == 6
        own_road.stop(daemon)
        assert len(daemon.named("redis.lost")) == 1
        assert len(daemon.told("redis.back")) == 1


def test_a_wrong_password_is_told_and_loses_nothing(own_redis: RedisServer, own_road: Road) -> None:
    """Daemons end with 78, commands with 1, a producer raises; nobody shows a password. With the right one,
    the job that was there is executed.
    """
    job = own_road.producer.enqueue("work", {"number": 4})
    with redis.Redis.from_url(own_redis.url) as admin:
        admin.config_set("requirepass", PASSWORD)
    wrong = own_redis.url.replace("://", "://:wrong-canary@")
    try:
        own_road.configure(redis_dsn=wrong)
        for worker in WORKERS.values():
            ended = own_road.command(*worker, "--config", "rrq.toml")
            _refused(ended, 78, "password", "redis_dsn")
            assert "canary" not in ended.stderr
        for command in COMMANDS.values():
            ended = own_road.command(*command, "--config", "rrq.toml")
            _refused(ended, 1, "password", "redis_dsn")
            assert "canary" not in ended.stderr
        with Producer(wrong) as producer, pytest.raises(RedisRefused, match="password") as caught:
            producer.enqueue("work")
        assert "canary" not in str(caught.value)
        own_road.configure(redis_dsn=own_redis.url.replace("://", f"://:{PASSWORD}@"))
        with own_road.start("--burst") as daemon:
            assert daemon.code() == 0, daemon.lines
    finally:
        with redis.Redis.from_url(own_redis.url, password=PASSWORD) as admin:
            admin.config_set("requirepass", "")
    assert own_road.result(job.id).result == 8


# Handlers that cannot be served.


@contextmanager
def _broken(road: Road, job_id: str, *words: str) -> Iterator[Command]:
    """Serve an orchestrator whose runner does not start, until the block has put it right; then the job that
    waited is executed, uncharged.
    """
    with road.start() as daemon:
        _said_once(daemon, "runner.start_failed", *words)
        assert road.record(job_id).status is JobStatus.PENDING
        yield daemon
        assert road.result(job_id).status is JobStatus.COMPLETED
        record = road.record(job_id)
        assert (record.claim_seq, record.current_retries, record.crash_count) == (1, 0, 0)
        assert len(daemon.named("runner.start_failed")) == 1
        road.stop(daemon)


def test_a_missing_handler_module_is_told_and_waited_for(road: Road) -> None:
    """The event quotes the runner's one line, which names module and folder. Meanwhile jobs wait; when the
    module is there, they run.
    """
    road.configure({"python": {"app": "nosuch:settings", "pool_size": 1}})
    job = road.producer.enqueue("work")
    with _broken(road, job.id, "no module named 'nosuch'", str(road.folder), "78") as daemon:
        # It goes on trying.
        daemon.wait_for('"after": "broken"')
        road.install_handlers("nosuch")


def test_a_missing_attribute_is_told_and_waited_for(road: Road) -> None:
    """It names the attribute that would do."""
    road.configure({"python": {"app": "handlers:registery", "pool_size": 1}})
    job = road.producer.enqueue("work")
    with _broken(road, job.id, "no attribute 'registery'", "did you mean"):
        handlers = road.folder / "handlers.py"
        handlers.write_text(f"{handlers.read_text()}\nregistery = registry\n")


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("nosuch:settings", ["no module named 'nosuch'", "run from the folder"]),
        ("handlers:nosuch", ["module handlers has no attribute 'nosuch'", "did you mean"]),
        ("handlers:witness", ["expected a RunnerSettings"]),
        ("handlers.py", ["not a file name"]),
    ],
    ids=["module", "attribute", "type", "file"],
)
def test_a_runner_that_cannot_be_loaded_says_why(road: Road, reference: str, words: list[str]) -> None:
    """One line and exit code 78, started by hand as by an orchestrator."""
    for command in (("rrq_runner",), ("rrq_cli", "runner", "python")):
        ended = road.command(*command, "--settings", reference, "--unix-socket", str(road.folder / "r.sock"))
        assert ended.returncode == 78, ended.stderr
        assert ended.stderr.count("\n") == 1
        assert ended.stderr.startswith(f"rrq-runner: --settings {reference}: ")
        for word in words:
            assert word in ended.stderr


def test_a_port_in_use_is_told_and_waited_for(road: Road) -> None:
    """The address, and what to change; nothing is sent to whoever listens there (F80). When the port is free,
    the job runs.
    """
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        road.configure({"python": {"app": "handlers:settings", "pool_size": 1, "tcp_port": port}})
        job = road.producer.enqueue("work")
        with _broken(road, job.id, f"127.0.0.1:{port}", "in use", "tcp_port"):
            squatter.setblocking(False)
            with pytest.raises(BlockingIOError):
                squatter.accept()
            squatter.close()


def test_a_runner_on_a_port_in_use_says_so(road: Road) -> None:
    """Started by hand: one line, exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        address = f"127.0.0.1:{squatter.getsockname()[1]}"
        ended = road.command("rrq_runner", "--settings", "handlers:settings", "--tcp-socket", address)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert address in ended.stderr
    assert "in use" in ended.stderr


# Jobs that cannot run.


def test_jobs_that_cannot_run_are_told_and_hurt_no_neighbour(road: Road) -> None:
    """An unknown function, params that do not fit: `rrq debug submit --wait` ends with 1 and
    shows the reason; their neighbours complete.
    """
    wrong = {
        ("no_such_handler",): ["no_such_handler"],
        ("work", "--param", "number=five"): ["number", "int", "str"],
    }
    with road.running():
        neighbours = road.producer.enqueue_many(Job("work", {"number": 1}) for _ in range(20))
        for arguments, words in wrong.items():
            ended = road.command("rrq_cli", "debug", "submit", *arguments, "--wait", "--config", "rrq.toml")
            assert ended.returncode == 1, ended.stderr
            assert "FAILED" in ended.stdout
            assert "Traceback" not in ended.stdout + ended.stderr
            text = " ".join(ended.stdout.split())
            for word in words:
                assert word in text
        assert {each.result for each in road.results(neighbours)} == {2}
    assert len(road.dead()) == len(wrong)


def test_an_oversized_payload_is_refused_at_the_door(road: Road) -> None:
    """The producer and the command name limit and size; nothing is written. So is an oversized result, which
    fails its job and no other.
    """
    road.configure(max_payload_bytes=1000)
    file = Path(road.folder, "rrq.toml")
    with Producer.from_settings(file) as producer, pytest.raises(PayloadTooLarge) as caught:
        producer.enqueue_many([Job("work"), Job("plain", {"word": "x" * 2000})])
    assert caught.value.limit_bytes == 1000
    assert "2011 bytes" in str(caught.value)
    ended = road.command(
        "rrq_cli", "debug", "submit", "plain", "--param", f"word={'x' * 2000}", "--config", "rrq.toml"
    )
    _refused(ended, 1, "1000", "2011")
    assert not list(road.client.scan_iter(match=f"{road.keyspace.prefix}:*"))
    with road.running():
        small, large = (road.producer.enqueue("big", {"size": size}) for size in (900, 2000))
        assert road.result(small.id).result == "x" * 900
        failed = road.result(large.id)
        assert failed.status is JobStatus.FAILED
        assert "limit is 1000" in (failed.last_error or "")


def test_a_stop_is_no_failure(road: Road) -> None:
    """A daemon that waits for what is wrong to be put right can be stopped, with code 0."""
    road.configure({"python": {"app": "nosuch:settings", "pool_size": 2}})
    with road.start() as daemon:
        daemon.wait_for("runner.start_failed")
        daemon.kill(signal.SIGINT)
        assert daemon.code() == 0
