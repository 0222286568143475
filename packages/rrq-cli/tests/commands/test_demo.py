"""`rrq demo` before it starts anything; the whole of it is tested in tests/demo/test_flow.py."""

from pathlib import Path

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


def test_help_says_what_it_does(world: World) -> None:
    """The help names the options and what is left afterwards."""
    answer = world.rrq("demo", "--help")
    assert answer.code == 0
    for word in ("--files", "--dir", "--processes", "--json", "left running"):
        assert word in answer.words
