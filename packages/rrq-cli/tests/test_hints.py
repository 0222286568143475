"""Commands to copy lead to the Redis that this command line meant, and show no secret."""

import click
import pytest

from rrq_cli.hints import command, completed, remark
from rrq_cli.params import GlobalOptions, common

SECRET = "redis://:canary@localhost:6379/0"


def _said(*args: str) -> str:
    """Return the hint and the remark of a command called with these options."""
    said: list[str] = []

    @click.command()
    @common
    def called(options: GlobalOptions) -> None:
        said.append(command("job", "trace", "a b") + remark())

    called.main(args=list(args), standalone_mode=False)
    return said[0]


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        ((), "rrq job trace 'a b'"),
        (("--json",), "rrq job trace 'a b'"),
        (("--prefix", "foo"), "rrq --prefix foo job trace 'a b'"),
        (
            ("--prefix", "p q", "--config", "c.toml", "--redis-dsn", "redis://h/0"),
            "rrq --config c.toml --redis-dsn redis://h/0 --prefix 'p q' job trace 'a b'",
        ),
    ],
)
def test_options_are_repeated(args: tuple[str, ...], hint: str) -> None:
    """What led to this Redis leads there again, quoted for a shell."""
    assert _said(*args) == hint


@pytest.mark.parametrize("dsn", [SECRET, "redis://h:1/0?password=canary", "canary"])
def test_a_secret_is_left_to_the_environment(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL that holds a password is not printed; what to set is said, unless it is set already."""
    monkeypatch.delenv("RRQ_REDIS_DSN", raising=False)
    said = _said("--redis-dsn", dsn)
    assert said.startswith("rrq job trace 'a b' (set RRQ_REDIS_DSN first")
    assert "canary" not in said
    monkeypatch.setenv("RRQ_REDIS_DSN", dsn)
    assert _said("--redis-dsn", dsn) == "rrq job trace 'a b'"


def test_commands_in_messages_are_completed() -> None:
    """Those in backticks get the options too; messages without any stay as they are."""
    options = GlobalOptions(prefix="foo", redis_dsn=SECRET)
    assert completed("start `rrq dev` or `make`", GlobalOptions()) == "start `rrq dev` or `make`"
    text = completed("start `rrq dev` (or `rrq embedded start`)", options)
    assert text.startswith("start `rrq --prefix foo dev` (or `rrq --prefix foo embedded start`) (set RRQ_RED")
    assert completed("nothing to copy", options) == "nothing to copy"
    assert command("check") == "rrq check"


def test_a_name_that_looks_like_an_option() -> None:
    """An id that begins with - comes after --; the value of an option does not."""
    assert command("job", "trace", "-x") == "rrq job trace -- -x"
    assert command("dlq", "requeue", "--job-id", "-x") == "rrq dlq requeue --job-id -x"
    assert command("doctor") == "rrq doctor"
