"""The settings that a command line means: file, environment and options together."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rrq_cli.exits import ExitCode, fail
from rrq_cli.params import GlobalOptions

if TYPE_CHECKING:
    from rrq_protocol import Settings
    from rrq_protocol.settings import Draft, Origin

__all__ = ["draft_of", "no_file", "settings_for", "settings_with_origins"]

_VARIABLES = ("RRQ_CONFIG", "RRQ_EXECUTOR_CONFIG")
_EXAMPLE = '[rrq]\nredis_dsn = "embedded://.rrq"'


def settings_for(options: GlobalOptions) -> "Settings":
    """Return the settings the command line means.

    Raises:
        CliError: A file that was named is not there.
        SettingsError: They have problems, all of them listed.
    """
    return settings_with_origins(options)[0]


def settings_with_origins(options: GlobalOptions) -> "tuple[Settings, Mapping[str, Origin]]":
    """Return the settings as :func:`settings_for` does, and where each value comes from."""
    from rrq_protocol import SettingsError

    draft = draft_of(options)
    if draft.problems:
        raise SettingsError(draft.problems)
    return draft.settings, draft.origins


def draft_of(options: GlobalOptions) -> "Draft":
    """Return the settings that the command line means with their problems, for who looks for more of them.

    Raises:
        CliError: A file that was named is not there.
        SettingsError: The file cannot be read at all.
    """
    from rrq_protocol.settings import draft_settings

    _require_named_file(options.config)
    overrides = {"redis_dsn": options.redis_dsn, "key_prefix": options.prefix}
    return draft_settings(options.config, overrides=overrides)


def _require_named_file(config: str | None) -> None:
    """Say what to write where there is nothing; all else that can be wrong with a file is told by its
    reader.
    """
    named_by, name = "--config", config
    if name is None:
        variables = (variable for variable in _VARIABLES if os.environ.get(variable))
        named_by = next(variables, "")
        name = os.environ.get(named_by)
    if not name or os.path.lexists(name):
        return
    example = "\n".join(f"  {line}" for line in _EXAMPLE.splitlines())
    fail(
        f"there is no settings file {Path(name).absolute()}, though {named_by} names it.\n"
        f"Correct the name, or write the file; for a Redis of this project's own two lines do:\n{example}",
        ExitCode.CONFIGURATION,
    )


def no_file(settings: "Settings") -> str | None:
    """Return a remark for who may have called from the wrong folder: nothing said which Redis is meant."""
    if settings.provenance.config_file is not None or "redis_dsn" in (settings.provenance.given or ()):
        return None
    return f"no rrq.toml found in {Path.cwd()}; using the defaults (--config FILE names another one)"
