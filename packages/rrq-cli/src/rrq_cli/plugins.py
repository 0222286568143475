"""Commands by name, loaded when called: our own, and those of other wheels (entry points ``rrq.commands``).

``rrq --help`` and each command import only what they need, and a plugin that cannot be imported breaks no
command but its own.
"""

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from rrq_cli.exits import CliError, UsageProblem
from rrq_cli.params import LOG_FORMAT, as_environment, options_of
from rrq_cli.text import escape

__all__ = ["ENTRY_POINTS", "Joined", "LazyGroup", "Lazy", "Missing"]

ENTRY_POINTS = "rrq.commands"


@dataclass(frozen=True)
class Lazy:
    """A command of this wheel: where it is, ``module:attribute``, and its line in the help."""

    target: str
    help: str


@dataclass(frozen=True)
class Missing:
    """A command of another wheel, for as long as that wheel is not installed.

    Attributes:
        wheel: Which one brings it.
        help: Its line in the help.
        ours: Subcommands of this wheel in that group, for they need nothing but Redis.
    """

    wheel: str
    help: str
    ours: Mapping[str, Lazy] = field(default_factory=dict)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are needed.

    Args:
        own: Commands of this wheel, in the order of the help.
        elsewhere: Commands that other wheels of RRQ bring.
    """

    def __init__(
        self,
        *args: Any,
        own: Mapping[str, Lazy],
        elsewhere: Mapping[str, Missing] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.own, self.elsewhere = own, elsewhere
        self._plugins: dict[str, Any] | None = None

    @property
    def plugins(self) -> Mapping[str, Any]:
        """The entry points of other wheels by command name; ours cannot be replaced."""
        if self._plugins is None:
            from importlib.metadata import entry_points

            found = entry_points(group=ENTRY_POINTS) if self.elsewhere is not None else ()
            self._plugins = {each.name: each for each in found if each.name not in self.own}
        return self._plugins

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands: ours in our order, then the others by name."""
        return [*self.own, *sorted({*self.plugins, *(self.elsewhere or ())})]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, imported now; None where there is none of that name."""
        if cmd_name in self.own:
            return _load(self.own[cmd_name].target)
        known = (self.elsewhere or {}).get(cmd_name)
        if cmd_name in self.plugins:
            command = _load_plugin(self.plugins[cmd_name], ctx)
            joined = known is not None and known.ours and isinstance(command, click.Group)
            return Joined(command, known) if joined else command  # type: ignore[arg-type]
        if known is None:
            return None
        absent = _absent(cmd_name, known)
        return Joined(absent, known) if known.ours else absent

    def hand_over(self, ctx: click.Context) -> None:
        """Hand the global options given so far to the command to come, if it is one of another wheel."""
        options, name = options_of(ctx), ctx.invoked_subcommand
        if name is None or name not in self.plugins:
            return
        as_environment(options)
        command = self.get_command(ctx, name)
        if options.as_json and command is not None:
            ctx.default_map = {**(ctx.default_map or {}), name: _json_wanted(command)}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands' lines without importing any of them."""
        rows = [(name, self._help_of(name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _help_of(self, name: str) -> str:
        if name in self.own:
            return self.own[name].help
        known = (self.elsewhere or {}).get(name)
        plugin = self.plugins.get(name)
        if known is not None:
            return known.help if plugin is not None else f"{known.help} (install {known.wheel})"
        source = plugin.dist.name if plugin is not None and plugin.dist is not None else "another package"
        return escape(f"From {source}.")


class Joined(click.Group):
    """A group of another wheel with subcommands of ours in it.

    Args:
        theirs: The other wheel's group, or the command that says it is missing.
        known: What we know of it, and our subcommands.
    """

    def __init__(self, theirs: click.Command, known: Missing) -> None:
        super().__init__(
            theirs.name,
            help=theirs.help,
            callback=theirs.callback if isinstance(theirs, click.Group) else None,
            params=theirs.params if isinstance(theirs, click.Group) else None,
        )
        self.theirs, self.known = theirs, known

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of theirs and of ours."""
        theirs = self.theirs.list_commands(ctx) if isinstance(self.theirs, click.Group) else []
        return sorted({*theirs, *self.known.ours})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a subcommand: theirs where they have it, else ours."""
        found = self.theirs.get_command(ctx, cmd_name) if isinstance(self.theirs, click.Group) else None
        if found is None and cmd_name in self.known.ours:
            return _load(self.known.ours[cmd_name].target)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; where their wheel is missing, any other name says which one to install."""
        if not isinstance(self.theirs, click.Group) and args[0] not in self.known.ours:
            return self.theirs.name, self.theirs, args
        return super().resolve_command(ctx, args)


def _load(target: str) -> click.Command:
    module, _, attribute = target.partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    return command


def _load_plugin(plugin: Any, ctx: click.Context) -> click.Command:
    """Import another wheel's command; whatever goes wrong there is told as that command's own failure.

    Raises:
        CliError: It cannot be imported, or is no command.
    """
    source = plugin.dist.name if plugin.dist is not None else plugin.value
    try:
        command = plugin.load()
    except Exception as error:
        text = f"rrq {plugin.name} (from {source}) cannot be loaded: {type(error).__name__}: {error}"
        raise CliError(f"{text}\nReinstall or remove {source}; the other commands work.") from error
    if not isinstance(command, click.Command):
        raise CliError(
            f"rrq {plugin.name} (from {source}): expected a click command, got {type(command).__name__}"
        )
    _add_json(command)
    return command


def _add_json(command: click.Command) -> None:
    """Give a plugin's commands ``--json``: one that has none answers with its logs, which are JSON then."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            _add_json(each)
    elif not any("--json" in param.opts for param in command.params):
        option = click.Option(
            ["--json"], is_flag=True, expose_value=False, callback=_log_as_json, help="Log as JSON."
        )
        command.params.append(option)


def _json_wanted(command: click.Command) -> dict[str, Any]:
    """Return what ``--json`` before a plugin's name means as defaults of its commands."""
    if isinstance(command, Joined):
        return _json_wanted(command.theirs)
    if isinstance(command, click.Group):
        return {name: _json_wanted(each) for name, each in command.commands.items()}
    return {param.name: True for param in command.params if "--json" in param.opts and param.name is not None}


def _log_as_json(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted:
        os.environ[LOG_FORMAT] = "json"


def _absent(name: str, missing: Missing) -> click.Command:
    def refuse(ctx: click.Context, args: tuple[str, ...]) -> None:
        raise UsageProblem(
            f"rrq {name}: install {missing.wheel}, which brings this command: pip install {missing.wheel}"
        )

    return click.Command(
        name,
        callback=click.pass_context(refuse),
        params=[click.Argument(["args"], nargs=-1, type=click.UNPROCESSED)],
        help=f"{missing.help} Not installed: pip install {missing.wheel}",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
