"""Options every command has, and the types of option values.

The global options may stand before or after the subcommand: ``rrq --json queue list`` is ``rrq queue list
--json``. Each level puts what it was given into one :class:`GlobalOptions` of the context; the innermost
level wins.
"""

import functools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click

__all__ = [
    "DURATION",
    "GLOBAL_OPTIONS",
    "LOG_FORMAT",
    "MOMENT",
    "GlobalOptions",
    "KeyValue",
    "as_environment",
    "common",
    "global_options",
    "only_json",
    "options_of",
    "remember",
]

F = TypeVar("F", bound=Callable[..., Any])
_META = "rrq_cli.options"
LOG_FORMAT = "RRQ_LOG_FORMAT"
"""What a command that answers with its logs is told by ``--json``."""

if TYPE_CHECKING:
    from datetime import datetime

    _FloatParam: TypeAlias = click.ParamType[float]
    _PairParam: TypeAlias = click.ParamType[tuple[str, Any]]
    _MomentParam: TypeAlias = click.ParamType[datetime]
else:  # no generic class before click 8.2
    _FloatParam = _PairParam = _MomentParam = click.ParamType


@dataclass(frozen=True)
class GlobalOptions:
    """What was given of ``--config``, ``--redis-dsn``, ``--prefix`` and ``--json``."""

    config: str | None = None
    redis_dsn: str | None = None
    prefix: str | None = None
    as_json: bool = False


GLOBAL_OPTIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "--config",
        "config",
        {"metavar": "FILE", "help": "Settings file [default: RRQ_CONFIG, else ./rrq.toml]."},
    ),
    ("--redis-dsn", "redis_dsn", {"metavar": "URL", "help": "Redis to use, e.g. redis://localhost:6379/0."}),
    ("--prefix", "prefix", {"metavar": "TEXT", "help": "What every Redis key starts with [default: rrq]."}),
    ("--json", "as_json", {"is_flag": True, "default": None, "help": "Print JSON for programs."}),
)


def options_of(ctx: click.Context) -> GlobalOptions:
    """Return the global options given so far."""
    found: GlobalOptions = ctx.meta.get(_META, GlobalOptions())
    return found


def remember(ctx: click.Context, values: dict[str, Any]) -> GlobalOptions:
    """Take the global options out of ``values``, and return them together with those of the outer levels."""
    given = {name: values.pop(name, None) for _, name, _ in GLOBAL_OPTIONS}
    merged = replace(options_of(ctx), **{name: value for name, value in given.items() if value is not None})
    ctx.meta[_META] = merged
    return merged


def global_options(command: F) -> F:
    """Declare the global options on a command or group."""
    for flag, name, settings in reversed(GLOBAL_OPTIONS):
        command = click.option(flag, name, **settings)(command)
    return command


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Declare the global options on a command, which gets a :class:`GlobalOptions` as its first argument."""

    @functools.wraps(command)  # takes the options declared below this decorator along
    def run(**values: Any) -> Any:
        return command(remember(click.get_current_context(), values), **values)

    return global_options(run)


def only_json(reason: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare ``--json`` on a command without settings of the user's, and refuse the other global options.

    Args:
        reason: Why they do not apply.
    """

    def declare(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(**values: Any) -> Any:
            ctx = click.get_current_context()
            options = remember(ctx, values)
            for flag, name, _ in GLOBAL_OPTIONS:
                if name != "as_json" and getattr(options, name) is not None:
                    raise click.UsageError(f"{flag} does not apply here: {reason}", ctx)
            return command(options, **values)

        declared: Callable[..., Any] = run
        for flag, name, settings in reversed(GLOBAL_OPTIONS):
            declared = click.option(flag, name, **settings, hidden=name != "as_json")(declared)
        return declared

    return declare


def as_environment(options: GlobalOptions) -> None:
    """Hand the global options to a command of another wheel, which reads its settings by itself."""
    for variable, value in (
        ("RRQ_CONFIG", options.config),
        ("RRQ_REDIS_DSN", options.redis_dsn),
        ("RRQ_KEY_PREFIX", options.prefix),
        (LOG_FORMAT, "json" if options.as_json else None),
    ):
        if value is not None:
            os.environ[variable] = value


class _Duration(_FloatParam):
    """Seconds, or a text such as ``90s``, ``5m``, ``2h``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        from rrq_protocol.settings import parse_duration

        try:
            seconds = parse_duration(value) if isinstance(value, str) else None
            seconds = float(value) if seconds is None else seconds
        except ValueError:
            seconds = math.nan
        if not math.isfinite(seconds) or seconds < 0:
            self.fail(f'expected seconds, or a text such as "90s", "5m", "2h", got {value!r}', param, ctx)
        return seconds


DURATION = _Duration()


class _Moment(_MomentParam):
    """A time: so long ago, as ``2h``, or a date and time of RFC 3339."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "datetime":
        """Return the time."""
        from datetime import UTC, datetime, timedelta

        if isinstance(value, datetime):
            return value
        from rrq_protocol.settings import parse_duration

        try:
            ago, now = parse_duration(value), datetime.now(UTC)
            found = datetime.fromisoformat(value) if ago is None else now - timedelta(seconds=ago)
            found.timestamp()
        except (ValueError, OverflowError):
            found = None
        if found is None or found.tzinfo is None:
            self.fail(
                'expected how long ago, as in "90s", "5m", "2h", or a time with its zone, as in '
                f'"2026-01-31T12:00:00Z", got {value!r}',
                param,
                ctx,
            )
        return found


MOMENT = _Moment()


class KeyValue(_PairParam):
    """``name=value``; the value is JSON where it can be read as such, else text."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        """Return the name and the value."""
        import json

        if not isinstance(value, str):
            name, read = value
            return str(name), read
        name, separator, text = value.partition("=")
        if not separator or not name:
            self.fail(f"expected name=value, got {value!r}", param, ctx)
        try:
            return name, json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return name, text


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")
