"""Checks of settings that other wheels bring."""

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from rrq_cli import settings_checks
from rrq_cli.exits import CliError
from rrq_cli.settings_checks import problems_of_others
from rrq_protocol import Settings
from support.cli import World


def _installed(monkeypatch: pytest.MonkeyPatch, *targets: str) -> None:
    points = EntryPoints(
        EntryPoint(f"check{index}", target, settings_checks.ENTRY_POINTS)
        for index, target in enumerate(targets)
    )
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: points)


def test_nothing_installed_means_nothing_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line works on its own."""
    _installed(monkeypatch)
    assert problems_of_others(Settings()) == []


def test_problems_of_all_checks_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the checks' names."""
    found: dict[str, Any] = {
        "a": lambda _: ["rrq.a: wrong"],
        "b": lambda _: (),
        "c": lambda _: ["rrq.c: bad"],
    }
    monkeypatch.setattr(EntryPoint, "load", lambda self: found[self.value])
    _installed(monkeypatch, "c", "b", "a")
    assert problems_of_others(Settings()) == ["rrq.c: bad", "rrq.a: wrong"]


@pytest.mark.parametrize("target", ["no.such.module:check", "json:loads"])
def test_a_check_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """One that cannot be imported or raises is no statement about the settings."""
    _installed(monkeypatch, target)
    with pytest.raises(CliError, match="the check check0 of settings"):
        problems_of_others(Settings())


def test_config_check_asks_them(world: World) -> None:
    """A cron entry that never comes is named with its key path, exit code 78; a right one is fine."""
    entry = '[[rrq.cron_jobs]]\nfunction_name = "f"\n'
    path = Path(world.folder, "rrq.toml")
    path.write_text(
        f'{entry}schedule = "0 0 30 2 *"\n{entry}name = "g"\nschedule = "* * * * *"\ntimezone = "X"\n'
    )
    answer = world.rrq("config", "check")
    assert answer.code == 78
    assert "rrq.cron_jobs[0].schedule: " in answer.err
    assert "rrq.cron_jobs[1].timezone: " in answer.err
    found = world.rrq("config", "check", "--json")
    assert (found.code, found.json["ok"], len(found.json["problems"])) == (78, False, 2)
    path.write_text(f'{entry}schedule = "*/5 9-17 * * mon-fri"\ntimezone = "Europe/Berlin"\n')
    assert world.rrq("config", "check").code == 0
