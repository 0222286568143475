"""`rrq demo` before it starts anything; the whole of it is tested in tests/demo/test_flow.py."""

from pathlib import Path

import pytest

from support.cli import World


def test_nothing_to_work_on_is_1(world: World) -> None:
    """A folder without Python files ends with 1 and one line."""
    Path(world.folder, "empty").mkdir()
    answer = world.rrq("demo", "--files", "empty")
    assert (answer.code, answer.out) == (1, "")
    assert "no .py file in it or below" in answer.err
    assert not Path(world.folder, ".rrq").exists()


def test_wrong_usage_is_2(world: World) -> None:
    """A number of processes that cannot be is refused."""
    assert world.rrq("demo", "--processes", "0").code == 2


@pytest.mark.parametrize("args", [("--prefix", "x"), ("--redis-dsn", "redis://h"), ("--config", "c.toml")])
def test_settings_do_not_apply(world: World, args: tuple[str, ...]) -> None:
    """Options that mean another Redis are refused wherever they stand, and the help does not offer them."""
    for line in ((*args, "demo"), ("demo", *args)):
        answer = world.rrq(*line, "--files", "missing")
        assert (answer.code, answer.out) == (2, "")
        assert f"{args[0]} does not apply" in answer.err
    assert args[0] not in world.rrq("demo", "--help").out
    assert not Path(world.folder, ".rrq").exists()


def test_help_says_what_it_does(world: World) -> None:
    """The help names the options and what is left afterwards."""
    answer = world.rrq("demo", "--help")
    assert answer.code == 0
    for word in ("--files", "--dir", "--processes", "--json", "left running"):
        assert word in answer.words
