"""`docs/cli.md` has every command of `rrq` with its options, and no other."""

import re
from collections.abc import Iterator

import click
import pytest

from rrq_cli.root import root
from support.rules import ROOT


def _commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")
        elif not command.hidden:
            yield f"{path} {name}", command


@pytest.fixture(scope="module")
def rows() -> list[list[str]]:
    """The rows of the page that name commands, as cells."""
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| `rrq ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_every_command_has_its_row(rows: list[list[str]]) -> None:
    """Each command once, with what it does, and none that does not exist."""
    listed = [re.sub(r" [\[A-Z].*", "", row[0].strip("`")) for row in rows]
    assert sorted(listed) == sorted(path for path, _ in _commands(root, "rrq"))
    assert all(row[1] for row in rows)


def test_every_option_is_named(rows: list[list[str]]) -> None:
    """Options that are not hidden stand beside their command."""
    for path, command in _commands(root, "rrq"):
        (options,) = (row[2] for row in rows if re.sub(r" [\[A-Z].*", "", row[0].strip("`")) == path)
        own = {
            max(each.opts, key=len)
            for each in command.params
            if isinstance(each, click.Option) and not each.hidden
        }
        everywhere = {"--config", "--redis-dsn", "--prefix", "--json"}
        assert set(options.replace("`", "").split()) == own - everywhere, path
