"""The schedule of faults follows from the seed, and the command line says what is played."""

import pytest

from support.chaos.faults import schedule
from support.chaos.options import KINDS, Options, parse


def test_a_seed_gives_one_schedule() -> None:
    """The same seed repeats kinds, times and choices; another one does not."""
    assert schedule(Options(7)) == schedule(Options(7))
    assert schedule(Options(7)) != schedule(Options(8))


def test_every_kind_comes_before_any_comes_twice() -> None:
    """A round with enough faults has all kinds; its faults lie within its span, in order."""
    options = Options(7, faults=len(KINDS))
    planned = schedule(options)
    assert sorted(each.kind for each in planned) == sorted(KINDS)
    times = [each.at_s for each in planned]
    assert times == sorted(times)
    assert 0 < times[0] <= times[-1] <= options.span_s


def test_kinds_can_be_chosen() -> None:
    """Beginnings of names are enough."""
    options = Options(7, faults=40, kinds=("redis.kill", "runner"))
    assert {each.kind for each in schedule(options)} == {"redis.kill", "runner.kill"}


def test_the_command_line_repeats_a_round() -> None:
    """What a round prints gives the same round again."""
    options = parse(
        ["--seed", "7", "--jobs", "50", "--faults", "4", "--fsync", "everysec", "--only", "redis,runner"]
    )
    words = options.repeat().partition('"')[2].rstrip('"').split()
    assert parse(words) == options


@pytest.mark.parametrize(
    "words", [["--jobs", "0"], ["--hours", "-1"], ["--rate", "nan"], ["--only", "plague"]]
)
def test_a_wrong_command_line_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the option."""
    with pytest.raises(SystemExit):
        parse(words)
    assert words[0] in capsys.readouterr().err
