"""A canary password, and every place it must not turn up in (RELIABILITY.md S8)."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

from rrq_producer import Producer, RedisRefused
from rrq_protocol import JobStatus, Keyspace, load_settings
from support.redis_servers import RedisServer
from support.road import Road

WITHIN_S = 30
CANARY = "canary-5d1e9a7c"
WRONG = "wrong-canary-33b1"


def _with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f":{password}@{parts.netloc}"))


def _secret(road: Road) -> Path:
    return road.folder / "secret"


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


@pytest.fixture
def guarded(own_redis: RedisServer) -> Iterator[Road]:
    """Serve a road to a server with a password, which stands in a file."""
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("requirepass", CANARY)
    with Road(_with_password(own_redis.url, CANARY), Keyspace("rrq")) as road:
        road.configure({"python": {"app": "handlers:settings", "pool_size": 1}}, log_level="debug")
        config = road.folder / "rrq.toml"
        lines = [line for line in config.read_text().splitlines() if not line.startswith("redis_dsn")]
        _write(config, "\n".join(["[rrq]", 'redis_dsn_file = "secret"', *lines[1:]]))
        _write(_secret(road), road.url)
        yield road
        road.assert_nothing_left()


def _stored(client: "redis.Redis") -> bytes:
    """Return everything that Redis holds."""
    return b"".join(key + (client.dump(key) or b"") for key in client.scan_iter())


def _of_processes(road: Road) -> bytes:
    """Return the command lines and environments of everything that runs."""
    files = (Path(f"/proc/{pid}/{name}") for pid in road.processes() for name in ("cmdline", "environ"))
    return b"".join(path.read_bytes() for path in files)


def test_no_output_holds_the_password(guarded: Road) -> None:
    """Settings, checks, logs down to debug, records of health and jobs, command lines, environments."""
    said: list[str] = []

    def ask(*arguments: str, code: int = 0) -> None:
        done = guarded.command("rrq_cli", *arguments)
        assert done.returncode == code, done.stdout + done.stderr
        said.extend((done.stdout, done.stderr))

    with guarded.running() as daemon:
        job = guarded.producer.enqueue("plain", {"word": "x"})
        guarded.result(job.id)
        for name in (
            "config show",
            "config show --json --origin",
            "config check",
            "check --json",
            "doctor --errors-only",
        ):
            ask(*name.split())
        stored, processes = _stored(guarded.client), _of_processes(guarded)
        # What is said when the server forgets us.
        guarded.client.config_set("requirepass", "another")
        with redis.Redis.from_url(_with_password(guarded.url.replace(f":{CANARY}@", ""), "another")) as other:
            other.client_kill_filter(_type="normal", skipme=True)
            daemon.wait_for("redis.lost")
            ask("check", code=1)
            other.config_set("requirepass", CANARY)
        daemon.wait_for("redis.back")
    said += daemon.lines
    assert b"health:worker" in stored
    assert CANARY not in "".join(said)
    assert CANARY.encode() not in stored + processes


def test_a_refused_password_is_not_repeated(guarded: Road) -> None:
    """Whoever has the wrong one is told where it comes from, by all three wheels, and not what it is."""
    _write(_secret(guarded), guarded.url.replace(CANARY, WRONG))
    asked = guarded.command("rrq_cli", "queue", "list")
    assert asked.returncode == 1
    with guarded.start() as daemon:
        assert daemon.code() == 78
    settings = load_settings(guarded.folder / "rrq.toml", environ={})
    with (
        Producer.from_settings(settings) as producer,
        pytest.raises(RedisRefused) as refused,
    ):
        producer.enqueue("plain", {})
    said = [
        asked.stdout,
        asked.stderr,
        *daemon.lines,
        str(refused.value),
        repr(refused.value),
        repr(settings),
    ]
    assert WRONG not in "".join(said)
    assert all("password" in text for text in (asked.stderr, "".join(daemon.lines), str(refused.value)))


def test_a_broken_file_is_not_repeated(guarded: Road) -> None:
    """A DSN that cannot be read as one shows nothing of itself."""
    _write(_secret(guarded), f"redis:/{CANARY}@[x")
    for arguments in (("config", "check"), ("config", "show"), ("check",)):
        done = guarded.command("rrq_cli", *arguments)
        assert done.returncode == 78
        assert "rrq.redis_dsn" in done.stderr
        assert CANARY not in done.stdout + done.stderr


def test_a_rotated_password_is_taken_up(guarded: Road) -> None:
    """Whoever runs reads redis_dsn_file again when the connection is lost: orchestrator and producers."""
    settings = load_settings(guarded.folder / "rrq.toml", environ={})
    with guarded.running() as daemon, Producer.from_settings(settings) as producer:
        before = producer.enqueue("plain", {"word": "x"})
        guarded.result(before.id)
        guarded.client.config_set("requirepass", "another")
        rotated = guarded.url.replace(CANARY, "another")
        with redis.Redis.from_url(rotated) as admin:
            admin.client_kill_filter(_type="normal", skipme=True)
            # The old password is tried, and refused; then the file is there.
            daemon.wait_for("redis.lost")
            _write(_secret(guarded), rotated)
            daemon.wait_for("redis.back")
            job = producer.enqueue("plain", {"word": "y"})
            assert producer.wait(job.id, WITHIN_S).status is JobStatus.COMPLETED
            admin.config_set("requirepass", CANARY)
        assert guarded.command("rrq_cli", "check").returncode == 1  # the file still names the other
        _write(_secret(guarded), guarded.url)
    assert guarded.command("rrq_cli", "queue", "list").returncode == 0


def test_a_file_that_vanished_is_named(guarded: Road) -> None:
    """While the file cannot be read, the log says so; the orchestrator goes on when it is there again."""
    with guarded.running() as daemon:
        hidden = _secret(guarded).rename(guarded.folder / "hidden")
        guarded.client.client_kill_filter(_type="normal", skipme=True)
        told = daemon.wait_for("redis_dsn_file")
        hidden.rename(_secret(guarded))
        daemon.wait_for("redis.back")
    assert "cannot be read: No such file" in told
    assert CANARY not in "".join(daemon.lines)
