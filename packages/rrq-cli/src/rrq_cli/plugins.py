"""Commands by name, loaded when called: our own, and those of other wheels (entry points ``rrq.commands``).

``rrq --help`` and each command import only what they need, and a plugin that cannot be imported breaks no
command but its own.
"""

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from rrq_cli.exits import CliError, UsageProblem
from rrq_cli.params import LOG_FORMAT, as_environment, options_of
from rrq_cli.text import escape

__all__ = ["ENTRY_POINTS", "LazyGroup", "Lazy", "Missing"]

ENTRY_POINTS = "rrq.commands"
_LONGEST_LINE = 300


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
        parts: Of a group whose commands come from several wheels: those of this wheel, and which wheel brings
            the others.
    """

    wheel: str
    help: str
    parts: Mapping[str, "Lazy | Missing"] = field(default_factory=dict)


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
        self._plugins: dict[str, list[Any]] | None = None

    @property
    def plugins(self) -> Mapping[str, list[Any]]:
        """The entry points of other wheels by command name; ours cannot be replaced."""
        if self._plugins is None:
            from importlib.metadata import entry_points

            self._plugins = {}
            for each in entry_points(group=ENTRY_POINTS) if self.elsewhere is not None else ():
                if each.name not in self.own:
                    self._plugins.setdefault(each.name, []).append(each)
        return self._plugins

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands: ours in our order, then the others by name."""
        return [*self.own, *sorted({*self.plugins, *(self.elsewhere or ())})]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, imported now; None where there is none of that name."""
        if cmd_name in self.own:
            return _load(self.own[cmd_name].target)
        known = (self.elsewhere or {}).get(cmd_name)
        if known is not None and known.parts:
            return _load_parts(cmd_name, self.plugins.get(cmd_name, []), known)
        if cmd_name in self.plugins:
            return _load_plugin(self.plugins[cmd_name][-1])
        return _absent(cmd_name, known) if known is not None else None

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
        plugins = self.plugins.get(name, [])
        if known is not None:
            return known.help if plugins else f"{known.help} (install {known.wheel})"
        sources = [plugin.dist.name for plugin in plugins if plugin.dist is not None]
        return escape(f"From {', '.join(sources) or 'another package'}.")


class SharedGroup(click.Group):
    """A group several wheels bring commands of; the one that cannot be loaded breaks only its own.

    Args:
        name: Its name.
        theirs: The groups of other wheels.
        broken: Why others could not be loaded.
        known: Its help, our own commands in it, and who brings the others.
    """

    def __init__(
        self, name: str, theirs: Sequence[click.Group], broken: Sequence[CliError], known: Missing
    ) -> None:
        only = theirs[0] if len(theirs) == 1 else None
        super().__init__(
            name,
            help=only.help if only is not None and only.help else known.help,
            callback=only.callback if only is not None else None,
            params=only.params if only is not None else None,
        )
        self.theirs, self.broken, self.known = theirs, broken, known

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands that are there, ours too."""
        ours = [name for name, part in self.known.parts.items() if isinstance(part, Lazy)]
        return sorted({*ours, *(name for group in self.theirs for name in group.list_commands(ctx))})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; of one that is not there, say why."""
        for group in self.theirs:
            if (found := group.get_command(ctx, cmd_name)) is not None:
                return found
        part = self.known.parts.get(cmd_name)
        if isinstance(part, Lazy):
            return _load(part.target)
        if self.broken:
            raise self.broken[0]
        if part is not None:
            return _absent(cmd_name, part, f"{self.name} {cmd_name}")
        return None if self.theirs else _absent(cmd_name, self.known, self.name)


def _load(target: str) -> click.Command:
    module, _, attribute = target.partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    _say_whole(command)
    return command


def _say_whole(command: click.Command) -> None:
    """Have the help of a group give the first sentence of its commands whole, on several lines if need be."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            _say_whole(each)
    elif not command.short_help and not command.deprecated:
        command.short_help = command.get_short_help_str(_LONGEST_LINE)


def _load_parts(name: str, plugins: Sequence[Any], known: Missing) -> click.Command:
    """Import what other wheels bring of a group.

    Raises:
        CliError: None of it can be imported, and nothing of it is ours.
    """
    groups, broken = [], []
    for plugin in sorted(plugins, key=lambda each: str(each.value)):
        try:
            command = _load_plugin(plugin)
        except CliError as error:
            broken.append(error)
            continue
        if isinstance(command, click.Group):
            groups.append(command)
    ours = any(isinstance(part, Lazy) for part in known.parts.values())
    if not groups and not ours:
        if broken:
            raise broken[0]
        return _absent(name, known)
    return SharedGroup(name, groups, broken, known)


def _load_plugin(plugin: Any) -> click.Command:
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
    _say_whole(command)
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
    if isinstance(command, SharedGroup):
        return {name: wanted for group in command.theirs for name, wanted in _json_wanted(group).items()}
    if isinstance(command, click.Group):
        return {name: _json_wanted(each) for name, each in command.commands.items()}
    return {param.name: True for param in command.params if "--json" in param.opts and param.name is not None}


def _log_as_json(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted:
        os.environ[LOG_FORMAT] = "json"


def _absent(name: str, missing: Missing, full_name: str | None = None) -> click.Command:
    def refuse(ctx: click.Context, args: tuple[str, ...]) -> None:
        raise UsageProblem(
            f"rrq {full_name or name}: install {missing.wheel}, which brings this command: "
            f"pip install {missing.wheel}"
        )

    return click.Command(
        name,
        callback=click.pass_context(refuse),
        params=[click.Argument(["args"], nargs=-1, type=click.UNPROCESSED)],
        help=f"{missing.help} Not installed: pip install {missing.wheel}",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
