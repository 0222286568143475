"""Commands are loaded when called, and another wheel's trouble is its own."""

import os
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import click
import pytest

from rrq_cli.exits import CliError, UsageProblem
from rrq_cli.params import global_options, remember
from rrq_cli.plugins import Lazy, LazyGroup, Missing


@dataclass
class _Point:
    """An entry point that loads as it is told."""

    name: str
    found: Any
    dist: Any = None
    value: str = "pkg:thing"

    def load(self) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@click.command()
def fine() -> None:
    """Be fine."""
    click.echo("fine")


def _group(monkeypatch: pytest.MonkeyPatch, *points: _Point) -> LazyGroup:
    monkeypatch.setattr(metadata, "entry_points", lambda group: points)
    return LazyGroup(
        name="rrq",
        own={"queue": Lazy("rrq_cli.commands.queue:queue", "Queues.")},
        elsewhere={
            "worker": Missing("rrq-orchestrator", "Run an orchestrator."),
            "shared": Missing("rrq-runner", "Share.", {"late": Missing("rrq-late", "Come late.")}),
        },
    )


def _call(group: LazyGroup, *args: str) -> None:
    group.main(args=list(args), standalone_mode=False)


def test_a_plugin_is_called(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An entry point's command is run under its name."""
    _call(_group(monkeypatch, _Point("extra", fine)), "extra")
    assert capsys.readouterr().out == "fine\n"


def test_a_broken_plugin_breaks_itself_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The help lists it, other commands work, and calling it says what is wrong with it."""
    group = _group(
        monkeypatch, _Point("bad", ImportError("no module x")), _Point("extra", fine), _Point("odd", 3)
    )
    _call(group, "--help")
    assert "bad" in capsys.readouterr().out
    _call(group, "extra")
    with pytest.raises(CliError, match="ImportError: no module x"):
        _call(group, "bad")
    with pytest.raises(CliError, match="expected a click command, got int"):
        _call(group, "odd")


def test_a_missing_wheel_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command of RRQ whose wheel is not installed says which one to install, whatever its arguments."""
    group = _group(monkeypatch)
    for args in (["worker"], ["worker", "run", "--queue", "x", "--help"]):
        with pytest.raises(UsageProblem, match="install rrq-orchestrator"):
            _call(group, *args)
    _call(group, "--help")
    assert "Run an orchestrator. (install rrq-orchestrator)" in capsys.readouterr().out


def test_our_commands_cannot_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point of the same name as a command of ours is ignored."""
    group = _group(monkeypatch, _Point("queue", fine))
    with click.Context(group) as ctx:
        found = group.get_command(ctx, "queue")
        assert found is not None
        assert found is not fine
        assert group.get_command(ctx, "nothing") is None


@click.group()
def served() -> None:
    """Serve."""


@served.command()
def run() -> None:
    """Tell how logs are wanted."""
    click.echo(str(os.environ.get("RRQ_LOG_FORMAT")))


@served.command()
@click.option("--json", "as_json", is_flag=True)
def status(as_json: bool) -> None:
    """Tell whether JSON is wanted."""
    click.echo(str(as_json))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("run",), "None"),
        (("run", "--json"), "json"),
        (("status",), "False"),
        (("status", "--json"), "True"),
    ],
)
def test_every_command_of_a_plugin_takes_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], said: str
) -> None:
    """One that has no such option of its own writes logs, which are JSON then; once, however often loaded."""
    monkeypatch.delenv("RRQ_LOG_FORMAT", raising=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    _call(_group(monkeypatch, _Point("served", served)), "served", *args)
    assert capsys.readouterr().out.strip() == said


@pytest.mark.parametrize(("name", "said"), [("run", "json x"), ("status", "True x")])
def test_options_before_a_plugins_name_reach_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    """Global options of the root are handed over before the plugin's command runs."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    group = _group(monkeypatch, _Point("served", served))

    @global_options
    @click.pass_context
    def root(ctx: click.Context, /, **values: Any) -> None:
        remember(ctx, values)
        group.hand_over(ctx)

    group.callback, group.params = root, root.__click_params__[::-1]  # type: ignore[attr-defined]
    _call(group, "--prefix", "x", "--json", "served", name)
    assert f"{capsys.readouterr().out.strip()} {os.environ['RRQ_KEY_PREFIX']}" == said


def _joined(monkeypatch: pytest.MonkeyPatch, *points: _Point) -> LazyGroup:
    monkeypatch.setattr(metadata, "entry_points", lambda group: points)
    ours = {"list": Lazy("rrq_cli.commands.worker:list_", "List."), "run": Lazy("no.such:module", "Run.")}
    known = {"worker": Missing("rrq-orchestrator", "Orchestrators.", ours)}
    return LazyGroup(name="rrq", own={}, elsewhere=known)


def test_our_subcommands_join_a_plugin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plugin's group keeps its commands, of the same name too, and gets ours beside them."""
    theirs = click.Group("worker", commands={"run": fine}, help="Run an orchestrator.")
    group = _joined(monkeypatch, _Point("worker", theirs))
    _call(group, "worker", "run")
    assert capsys.readouterr().out == "fine\n"
    _call(group, "worker", "--help")
    shown = capsys.readouterr().out
    assert "Run an orchestrator." in shown
    assert "list" in shown
    _call(group, "worker", "list", "--help")
    assert "List the orchestrators" in capsys.readouterr().out


def test_our_subcommands_work_without_the_plugin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the other wheel is missing, ours are there, and the others say what to install."""
    group = _joined(monkeypatch)
    _call(group, "worker", "list", "--help")
    assert "List the orchestrators" in capsys.readouterr().out
    with pytest.raises(UsageProblem, match="rrq worker: install rrq-orchestrator"):
        _call(group, "worker", "watch", "--path", ".")


def test_wheels_share_a_group(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Commands of both are there; one that is not installed names its wheel, an unknown one is unknown."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    group = _group(
        monkeypatch, _Point("shared", served), _Point("shared", click.Group(commands={"fine": fine}))
    )
    _call(group, "shared", "status")
    _call(group, "shared", "fine")
    assert capsys.readouterr().out == "False\nfine\n"
    with pytest.raises(UsageProblem, match="rrq shared late: install rrq-late"):
        _call(group, "shared", "late", "--whatever")
    with pytest.raises(click.UsageError, match="No such command"):
        _call(group, "shared", "nothing")


def test_a_broken_part_of_a_group_breaks_itself_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other wheel's commands work; a command that is not there says what could not be loaded."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    broken = _Point("shared", ImportError("no module x"))
    group = _group(monkeypatch, broken, _Point("shared", served))
    _call(group, "shared", "status")
    assert capsys.readouterr().out == "False\n"
    with pytest.raises(CliError, match="no module x"):
        _call(group, "shared", "late")
    with pytest.raises(CliError, match="no module x"):
        _call(_group(monkeypatch, broken), "shared", "status")


def test_the_help_of_a_group_is_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence of each command is given to its end, on several lines where one is too short."""

    @click.group()
    def theirs() -> None:
        """Do."""

    @theirs.command()
    def much() -> None:
        """Do this, and that, and whatever else comes to mind on a long day, until it is done. And so on."""

    group = _group(monkeypatch, _Point("theirs", theirs))
    for name, end in (("theirs", "until it is done."), ("queue", "those due later too.")):
        _call(group, name, "--help")
        shown = " ".join(capsys.readouterr().out.partition("Commands:")[2].split())
        assert (end in shown, "..." in shown, "And so on" in shown) == (True, False, False)
