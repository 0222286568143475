"""Options that several commands share, and the settings they lead to."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rrq_protocol import Settings

__all__ = [
    "config_option",
    "embedded_folder",
    "load",
    "load_noting",
    "log_options",
    "queue_option",
    "redis_options",
]

F = TypeVar("F", bound=Callable[..., Any])

config_option = click.option(
    "--config", metavar="FILE", help="Settings file [default: RRQ_CONFIG, else ./rrq.toml]."
)
queue_option = click.option(
    "--queue",
    "queues",
    metavar="NAME[=WEIGHT]",
    multiple=True,
    help="Serve this queue, and only those given; may be repeated. Of two queues, the one of twice the "
    "weight is asked twice as often.",
)


def redis_options(command: F) -> F:
    """Declare ``--redis-dsn`` and ``--prefix``."""
    command = click.option("--prefix", metavar="TEXT", help="What every Redis key starts with.")(command)
    return click.option(
        "--redis-dsn",
        metavar="URL",
        help="Redis to use. A command line is public: give a password by RRQ_REDIS_DSN or redis_dsn_file.",
    )(command)


def log_options(command: F) -> F:
    """Declare ``--log-format`` and ``--log-level``."""
    levels = click.Choice(["debug", "info", "warning", "error"])
    command = click.option("--log-level", type=levels, help="Least severe events to log.")(command)
    return click.option(
        "--log-format",
        type=click.Choice(["auto", "json", "pretty"]),
        help="auto: pretty on a terminal, JSON elsewhere.",
    )(command)


def load(
    config: str | None,
    overrides: Mapping[str, Any],
    queues: Sequence[str] = (),
    app: "Settings | None" = None,
) -> "Settings":
    """Return the settings, with the options of the command line on top.

    Args:
        config: ``--config``.
        overrides: Settings by key; None means not given.
        queues: ``--queue``, as given. They replace the queues of the settings.
        app: Settings that a program holds, in place of those of a file that nobody named and of the
            environment.

    Raises:
        SettingsError: With every problem found.
        click.BadParameter: A queue is not of the form ``NAME`` or ``NAME=WEIGHT``.
    """
    from msgspec.structs import replace

    from rrq_protocol import load_settings

    weights = _weights(queues)
    settings = load_settings(config, overrides=overrides)
    if app is not None and config is None:
        given = [key for key, value in overrides.items() if value is not None]
        settings = replace(app, **{key: getattr(settings, key) for key in given})
    return replace(settings, worker=replace(settings.worker, queues=weights)) if weights else settings


def load_noting(
    config: str | None,
    overrides: Mapping[str, Any],
    queues: Sequence[str] = (),
    app: "Settings | None" = None,
) -> tuple["Settings", list[str]]:
    """Return the settings as :func:`load` does, and what it found of names of earlier versions.

    A DeprecationWarning is shown to nobody who runs a daemon; these are to be logged.
    """
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeprecationWarning)
        settings = load(config, overrides, queues, app)
    return settings, [str(each.message) for each in caught if issubclass(each.category, DeprecationWarning)]


def _weights(queues: Sequence[str]) -> dict[str, int]:
    from rrq_protocol import SettingsError
    from rrq_protocol.settings import parse_settings

    weights: dict[str, int] = {}
    for text in queues:
        name, separator, weight = text.partition("=")
        if separator and not (weight.isascii() and weight.isdigit() and 1 <= int(weight) <= 1_000_000):
            raise click.BadParameter(
                f"expected NAME or NAME=WEIGHT with a weight from 1, got {text!r}", param_hint="--queue"
            )
        weights[name] = int(weight) if separator else 1
    try:
        # The settings know what a queue may be called, and how to shorten a full Redis key.
        return dict(parse_settings({"worker": {"queues": weights}}).worker.queues) if weights else {}
    except SettingsError as error:
        raise click.BadParameter("; ".join(error.problems), param_hint="--queue") from error


def embedded_folder(settings: "Settings") -> Path | None:
    """Return the embedded server's folder that ``settings`` mean, there or not; None for other Redis."""
    scheme, _, folder = settings.redis_dsn.reveal().partition("://")
    if scheme != "embedded":
        return None
    config = settings.provenance.config_file
    return (Path(config).parent if config else Path.cwd()) / folder
