"""What Tab offers where a name is wanted."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from rrq_cli import completing
from rrq_cli.root import root
from support.cli import HOSTILE, WORKER, World


@pytest.fixture(autouse=True)
def at_home(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be where the world's command line is, with all the patience that a busy machine needs."""
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(world.folder)
    monkeypatch.setattr(completing, "PATIENCE_S", 30.0)


def offered(line: str) -> list[str]:
    """Return what is offered for the last word of a line."""
    *words, last = line.split(" ")
    return [
        each.value for each in ShellComplete(root, {}, "rrq", "_RRQ_COMPLETE").get_completions(words, last)
    ]


def test_queues_are_offered(world: World) -> None:
    """Wherever a queue is wanted, those of the settings and those that jobs are in, as far as typed."""
    world.enqueue(queue_name="media")
    world.enqueue(queue_name="mail")
    assert offered("queue pause ") == ["default", "mail", "media"]
    for line in (
        "queue inspect m", "queue stats --queue m", "job list --queue=m", "job replay --queue m",
        "dlq list --queue m", "dlq requeue --target-queue m", "debug submit --queue m",
    ):  # fmt: skip
        assert offered(line) == ["mail", "media"], line
    assert offered("queue pause x") == []


def test_jobs_are_offered(world: World) -> None:
    """Dead letters where those are wanted, open jobs for a cancel, all that is listed anywhere else."""
    dead = world.dead(dlq_name="other")
    running = world.enqueue()
    world.claim()
    waiting = world.enqueue()
    for line in ("dlq inspect ", "dlq requeue --job-id ", "dlq purge --job-id "):
        assert offered(line) == [dead], line
    assert offered("job cancel ") == [running, waiting]
    for line in ("job show ", "job trace ", "job replay ", "job why ", "job wait "):
        assert offered(line) == [running, dead, waiting], line
    assert offered(f"job show {dead}") == [dead]
    assert offered("dlq list --dlq-name ") == ["default", "other"]
    assert offered("worker drain ") == [WORKER]


def test_what_is_offered_is_bounded_and_plain(world: World) -> None:
    """Fifty at most, of those that fit; nothing that a shell or a terminal would take for something else."""
    key = world.keys.dlq("default")
    world.redis.rpush(key, HOSTILE, "-x", "a\nb", "a,b", "a b", "$(x)", "cron:tick:2026", "late")
    world.redis.lpush(key, *(f"job-{number}" for number in range(300)))
    found = offered("dlq inspect ")
    assert (len(found), len(set(found))) == (50, 50)
    assert offered("dlq inspect l") == ["late"]
    world.redis.ltrim(key, 300, -1)
    assert offered("dlq inspect ") == ["cron:tick:2026", "late"]


def test_options_before_the_word_are_heeded(world: World) -> None:
    """Another key space, wherever it was named, is the one that is looked into."""
    world.enqueue(queue_name="media")
    prefix = world.keys.prefix
    world.redis.sadd(f"{prefix}:x:queues", "others")
    assert offered(f"--prefix {prefix}:x queue inspect ") == ["default", "others"]
    assert offered(f"queue inspect --prefix {prefix}:x ") == ["default", "others"]
    assert offered("--config nowhere.toml queue inspect ") == []


@contextmanager
def silent() -> Iterator[int]:
    """Serve a port that accepts connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_no_redis_offers_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody there, no answer, no Redis, wrong settings: no word, no message, and no long wait."""
    monkeypatch.setattr(completing, "PATIENCE_S", 0.2)
    with silent() as port:
        for dsn in (f"redis://127.0.0.1:{port}", "redis://127.0.0.1:1", "nonsense", "embedded://nowhere"):
            assert offered(f"--redis-dsn {dsn} queue inspect ") == []
            assert offered(f"job show --redis-dsn {dsn} ") == []
    Path("rrq.toml").write_text("[rrq]\nunknown = 1\n")
    assert offered("queue inspect ") == []
    assert capsys.readouterr() == ("", "")


def test_entries_are_offered(world: World) -> None:
    """`cron trigger` offers the entries of the settings, also of a file that is named; no Redis is asked."""
    entry = '[[rrq.cron_jobs]]\nname = "{}"\nfunction_name = "f"\nschedule = "@daily"\n'
    Path("rrq.toml").write_text(entry.format("report") + entry.format("clean up"))
    Path("other.toml").write_text(entry.format("other"))
    assert offered("cron trigger r") == ["report"]
    assert [name.rpartition("-")[0] for name in offered("cron trigger c")] == ["clean-up"]
    for line in ("--config other.toml cron trigger ", "cron trigger --config other.toml "):
        assert offered(line) == ["other"]
    Path("rrq.toml").write_text("[rrq]\nunknown = 1\n")
    assert offered("cron trigger ") == []
