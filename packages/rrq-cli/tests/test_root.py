"""The root command: exit codes, messages, and no traceback for a user's mistake."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.cli import HOSTILE, World


def test_version_and_help(world: World) -> None:
    """Both answer at once with exit code 0; the help names every command."""
    assert "rrq-cli " in world.rrq("--version").out
    answer = world.rrq("--help")
    assert answer.code == 0
    for name in (
        "demo",
        "queue",
        "job",
        "dlq",
        "check",
        "config",
        "debug",
        "worker",
        "runner",
        "dev",
        "embedded",
    ):
        assert f"\n  {name} " in answer.out


def test_help_imports_nothing_heavy(world: World) -> None:
    """Neither the table library nor the Redis client nor the settings are loaded for the help."""
    code = "import sys; from rrq_cli.root import run; run(['--help']); print(*sys.modules)"
    loaded = world.process(command=(sys.executable, "-c", code)).out.splitlines()[-1].split()
    assert not {"rich", "redis", "msgspec", "rrq_protocol"} & set(loaded)
    assert "click" in loaded


@pytest.mark.parametrize(
    "args",
    [
        ("nonsense",),
        ("queue", "nonsense"),
        ("queue", "inspect"),
        ("--nonsense",),
        ("job", "list", "--limit", "x"),
    ],
)
def test_wrong_usage_is_2(world: World, args: tuple[str, ...]) -> None:
    """A command line that cannot be understood ends with 2 and a hint on stderr."""
    answer = world.rrq(*args)
    assert answer.code == 2
    assert answer.out == ""
    assert "rrq" in answer.err


def test_an_unreachable_redis_is_1(world: World) -> None:
    """Where nothing answers, one line says where and what to do; the password is not shown."""
    answer = world.process("queue", "list", "--redis-dsn", "redis://:canary@127.0.0.1:1/0")
    assert answer.code == 1
    assert answer.out == ""
    assert answer.err.startswith("rrq: cannot reach Redis at redis://:***@127.0.0.1:1/0 (")
    assert "canary" not in answer.err
    assert "Traceback" not in answer.err


def test_a_missing_embedded_server_is_1(world: World) -> None:
    """Where the settings mean a server of the project's own that does not run, it says what to start."""
    answer = world.rrq("check", "--redis-dsn", "embedded://nowhere")
    assert answer.code == 1
    assert "`rrq --redis-dsn embedded://nowhere dev`" in answer.err


def test_a_wrong_password_is_1(world: World) -> None:
    """A password that the server does not accept is told as such."""
    host = world.url.removeprefix("redis://").split("@")[-1]
    answer = world.rrq("check", "--redis-dsn", f"redis://nobody:canary@{host}")
    assert answer.code == 1
    assert "refused the user name or password" in answer.err
    assert "canary" not in answer.err


def test_wrong_settings_are_78(world: World) -> None:
    """Every problem of the settings is listed, with exit code 78."""
    Path(world.folder, "rrq.toml").write_text("[rrq]\nkey_prefixx = 'a'\ndefault_max_retries = 0\n")
    answer = world.rrq("queue", "list")
    assert answer.code == 78
    assert "did you mean" in answer.err
    assert "default_max_retries" in answer.err


def test_a_missing_file_is_78(world: World) -> None:
    """A settings file that is not there is a configuration problem."""
    answer = world.rrq("queue", "list", "--config", "missing.toml")
    assert answer.code == 78
    assert "missing.toml" in answer.err


def test_an_invalid_name_is_1(world: World) -> None:
    """A name that no queue can have is refused with the rule; control characters in it are not printed."""
    answer = world.rrq("queue", "inspect", HOSTILE)
    assert answer.code == 1
    assert "is not a valid queue name" in answer.err
    assert not answer.controls


@pytest.mark.parametrize("words", [["job", "list", "--json"], ["dlq", "stats"]])
def test_a_reader_that_stops_is_no_error(world: World, words: list[str]) -> None:
    """`rrq … | head` ends quietly when the reader has had enough, of JSON or of lines."""
    for _ in range(3):
        world.dead()
        world.enqueue()
    process = subprocess.Popen(
        [sys.executable, "-m", "rrq_cli", *words],
        env=world.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as errors:
        assert errors.read() == b""
    assert process.wait(30) == 141


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("job", "show", "gone", "--json"), 1, "there is no job gone"),
        (("--json", "queue", "pause", "nope"), 1, "Nothing was done"),
        (("dlq", "requeue", "--json"), 2, "say how many"),
        (("queue", "nonsense", "--json"), 2, "No such command"),
        (("job", "list", "--json", "--limit", "x"), 2, "is not a valid integer"),
        (("queue", "list", "--json", "--config", "missing.toml"), 78, "missing.toml"),
        (("cron", "trigger", "nope", "--json"), 2, "is no entry"),
    ],
)
def test_errors_in_json(world: World, words: tuple[str, ...], code: int, said: str) -> None:
    """With --json an error is a document on stdout, of one form for every command, beside its text."""
    answer = world.rrq(*words)
    assert answer.code == code
    assert set(answer.json) == {"error", "exit_code"}
    assert answer.json["exit_code"] == code
    assert said in answer.json["error"]
    assert said in answer.err


def test_what_comes_after_dashes_is_no_option(world: World) -> None:
    """An id that looks like --json asks for no JSON."""
    answer = world.rrq("job", "show", "--", "--json")
    assert (answer.code, answer.out) == (1, "")


def test_an_error_in_json_where_stderr_is_closed(world: World) -> None:
    """Standard output gets the document and nothing else."""
    command = ("sh", "-c", f"{sys.executable} -m rrq_cli job show gone --json 2>&-")
    answer = world.process(command=command)
    assert (answer.code, answer.json["exit_code"]) == (1, 1)
