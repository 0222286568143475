"""What can be said about a block or a command without running it."""

import ast
import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from support.pages.markdown import Block
from support.rules import PACKAGES, ROOT, WHEELS, wheel_name

__all__ = ["DRAWINGS", "block_problems", "command_problems", "words_of"]

DRAWINGS = frozenset({"mermaid", "text"})
"""Languages of blocks that are read, not run."""

_RUN = frozenset({"console", "json", "python", "toml"})
_PLACEHOLDER = re.compile(r"[…|<]|\.\.\.")


def block_problems(block: Block) -> list[str]:
    """Return what is wrong with a block by itself: no reason not to run it, bad syntax, bad settings."""
    if block.language in DRAWINGS:
        return []
    reason = block.note("not run")
    if reason == "" or (block.language not in _RUN and reason is None):
        what = block.language or "no language"
        return [f"{block.place}: a block of {what} is not run; say why above it: <!-- not run: … -->"]
    try:
        if block.language == "python":
            compile(block.code, block.place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        elif block.language == "json":
            json.loads(block.code)
        elif block.language == "toml":
            _check_toml(block, is_settings=reason is None)
    except (SyntaxError, ValueError) as error:
        return [f"{block.place}: {error}"]
    return []


def _check_toml(block: Block, *, is_settings: bool) -> None:
    from rrq_protocol import SettingsError
    from rrq_protocol.settings import parse_settings

    tree = tomllib.loads(block.code)
    if not is_settings:
        return
    try:
        parse_settings(tree.get("rrq", tree))
    except SettingsError as error:
        raise ValueError("; ".join(error.problems)) from error


def words_of(command: str) -> list[str]:
    """Return the words of a shell command, without a comment at its end."""
    return shlex.split(command, comments=True)


def command_problems(command: str) -> list[str]:
    """Return what is wrong with a command of ours, of make or of pip; others are not known here."""
    try:
        words = words_of(command)
    except ValueError as error:
        return [f"{command}: {error}"]
    match words:
        case ["rrq", *rest]:
            from rrq_cli.root import root

            return list(_unknown(root, rest, "rrq"))
        case ["make", *targets]:
            known = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
            named = [word for word in targets if "=" not in word]
            return [f"make has no target {target}" for target in named if target not in known]
        case ["pip", "install", *names]:
            return [f"pip install {name}: no such wheel or extra" for name in names if not _is_wheel(name)]
        case _:
            return []


def _unknown(command: click.Command, words: Sequence[str], path: str) -> Iterator[str]:
    """Yield the first subcommand or option that ``command`` does not have."""
    context = click.Context(command, info_name=path)
    options = {
        name: each for each in command.get_params(context) for name in (*each.opts, *each.secondary_opts)
    }
    rest = iter(words)
    for word in rest:
        if _PLACEHOLDER.search(word):
            return
        if word.startswith("-"):
            name, given, _ = word.partition("=")
            option = options.get(name)
            if option is None:
                yield f"{path} has no option {name}"
                return
            if isinstance(option, click.Option) and not option.is_flag and not given:
                next(rest, None)
        elif isinstance(command, click.Group):
            found = command.get_command(context, word)
            if found is None:
                yield f"{path} has no command {word}"
            else:
                yield from _unknown(found, list(rest), f"{path} {word}")
            return


def _is_wheel(name: str) -> bool:
    wheel, _, extras = name.rstrip("]").partition("[")
    if wheel not in map(wheel_name, WHEELS):
        return False
    project = tomllib.loads(Path(PACKAGES / wheel / "pyproject.toml").read_text())["project"]
    known = project.get("optional-dependencies", {})
    return all(extra in known for extra in extras.split(",") if extra)
