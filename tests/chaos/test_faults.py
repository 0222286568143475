"""The schedule of faults follows from the seed, and the command line says what is played."""

import pytest

from support.chaos.faults import schedule
from support.chaos.options import KILLS, KINDS, SMALL, Options, parse, replaced


def test_a_seed_gives_one_schedule() -> None:
    """The same seed repeats kinds, times and choices; another one does not."""
    assert schedule(Options(7)) == schedule(Options(7))
    assert schedule(Options(7)) != schedule(Options(8))


def test_every_kind_comes_before_any_comes_twice() -> None:
    """A round with enough faults has all kinds; they lie within it, in order; kills are counted apart."""
    options = Options(7, kills=len(KILLS), faults=len(KINDS))
    planned = schedule(options)
    assert sorted(each.kind for each in planned) == sorted([*KILLS, *KINDS])
    shares = [each.share for each in planned]
    assert shares == sorted(shares)
    assert 0 < shares[0] <= shares[-1] < 1


def test_redis_has_its_faults_in_a_part_of_the_round() -> None:
    """With a lease of production: silence counts from the last outage, and nothing could be measured."""
    planned = schedule(Options(7))
    ends = {
        kind: max(each.share for each in planned if each.kind.startswith(kind)) for kind in ("redis", "r")
    }
    assert ends["redis"] <= Options(7).unrest < ends["r"]
    assert max(each.share for each in schedule(SMALL) if each.kind.startswith("redis")) > 0.5


def test_the_form_of_ci_is_that_of_the_goals() -> None:
    """20,000 jobs, 150 kills, the lease of production; with it times are judged, with a short one not."""
    options = parse([])
    assert (options.jobs, options.kills, options.lease_s) == (20_000, 150, 10.0)
    assert options.judges_times
    assert not SMALL.judges_times
    assert sum(each.kind in KILLS for each in schedule(options)) == options.kills


def test_kinds_can_be_chosen() -> None:
    """Beginnings of names are enough, of kills and of others."""
    options = Options(7, kills=40, faults=40, kinds=("redis.f", "runner"))
    planned = [each.kind for each in schedule(options)]
    assert sorted(planned) == ["redis.full"] * 40 + ["runner.kill"] * 40
    assert len(schedule(Options(7, kills=40, faults=40, kinds=("runner",)))) == 40


@pytest.mark.parametrize("form", [[], ["--small"], ["--long"]])
def test_the_command_line_repeats_a_round(form: list[str]) -> None:
    """What a round prints gives the same round again, whatever form it was made from."""
    words = ["--seed", "7", "--jobs", "50", "--faults", "4", "--fsync", "everysec", "--only", "redis,runner"]
    options = replaced(parse([*form, *words]), hours=0.0)
    again = options.repeat().partition('"')[2].rstrip('"').split()
    assert parse(again) == options


@pytest.mark.parametrize(
    "words",
    [["--jobs", "0"], ["--hours", "-1"], ["--span", "nan"], ["--small", "--long"], ["--only", "plague"]],
)
def test_a_wrong_command_line_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the option."""
    with pytest.raises(SystemExit):
        parse(words)
    assert words[0] in capsys.readouterr().err
