"""Options that every command has, and the types of option values."""

import click
import pytest

from rrq_cli.params import (
    DURATION,
    GlobalOptions,
    KeyValue,
    as_environment,
    common,
    global_options,
    only_json,
    options_of,
    remember,
)


@click.group()
@global_options
@click.pass_context
def outer(ctx: click.Context, /, **values: object) -> None:
    """Take the options before the command."""
    remember(ctx, dict(values))


@outer.command()
@common
@click.option("--more")
def inner(options: GlobalOptions, more: str | None) -> None:
    """Print the options that arrived."""
    click.echo(f"{options.config} {options.redis_dsn} {options.prefix} {options.as_json} {more}")


def _said(*args: str, capsys: pytest.CaptureFixture[str]) -> str:
    outer.main(args=list(args), standalone_mode=False)
    return capsys.readouterr().out.strip()


def test_global_options_stand_before_or_after(capsys: pytest.CaptureFixture[str]) -> None:
    """Wherever it stands, an option reaches the command; of two, the inner one wins."""
    assert _said("--prefix", "a", "--json", "inner", "--more", "m", capsys=capsys) == "None None a True m"
    assert _said("inner", "--prefix", "a", "--json", capsys=capsys) == "None None a True None"
    assert _said("--prefix", "a", "inner", "--prefix", "b", capsys=capsys) == "None None b False None"


def test_options_reach_other_wheels_as_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin reads its settings by itself; what was given before its name is in its environment."""
    for name in ("RRQ_CONFIG", "RRQ_REDIS_DSN", "RRQ_KEY_PREFIX"):
        monkeypatch.setenv(name, "before")
    as_environment(GlobalOptions(config="x.toml", prefix="p"))
    import os

    assert [os.environ[f"RRQ_{name}"] for name in ("CONFIG", "REDIS_DSN", "KEY_PREFIX")] == [
        "x.toml",
        "before",
        "p",
    ]


def test_nothing_given_is_nothing() -> None:
    """Without options the defaults hold."""
    with click.Context(inner) as ctx:
        assert options_of(ctx) == GlobalOptions()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90.0), ("0.5", 0.5), ("90s", 90.0), ("5m", 300.0), ("2h", 7200.0)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    """Plain numbers are seconds; units may be named."""
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", ""])
def test_other_durations_are_refused(text: str) -> None:
    """What is no time in the future is refused with an example of what is expected."""
    with pytest.raises(click.BadParameter, match="90s"):
        DURATION.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("a=1", ("a", 1)),
        ("a=x=y", ("a", "x=y")),
        ('a={"b": [true]}', ("a", {"b": [True]})),
        ("a=", ("a", "")),
        ("a=NaN", ("a", "NaN")),
    ],
)
def test_pairs_are_json_where_they_can_be(text: str, pair: tuple[str, object]) -> None:
    """A value that reads as JSON is that value, every other is text."""
    assert KeyValue().convert(text, None, None) == pair


def test_a_pair_needs_a_name() -> None:
    """Without a name or an equals sign it is no pair."""
    for text in ("=1", "a"):
        with pytest.raises(click.BadParameter, match="name=value"):
            KeyValue().convert(text, None, None)


def test_settings_that_do_not_apply_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A command with settings of its own takes `--json` only, wherever the others stand."""

    @outer.command()
    @only_json("it has its own")
    def alone(options: GlobalOptions) -> None:
        click.echo(f"json {options.as_json}")

    assert _said("--json", "alone", capsys=capsys) == "json True"
    for args in (("--prefix", "a", "alone"), ("alone", "--config", "c")):
        with pytest.raises(click.UsageError, match="does not apply here: it has its own"):
            _said(*args, capsys=capsys)
    assert "--prefix" not in _said("alone", "--help", capsys=capsys)
