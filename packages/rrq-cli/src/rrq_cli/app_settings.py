"""The settings that an object of a Python program holds: ``--settings MODULE:ATTR``.

The wheel that loads handlers offers itself through the entry-point group ``rrq.app_settings``: a function of
the reference that returns the settings, or None where the object holds none.
"""

from typing import TYPE_CHECKING, Final

from rrq_cli.exits import ExitCode, fail
from rrq_cli.params import GlobalOptions

if TYPE_CHECKING:
    from rrq_protocol import Settings

__all__ = ["app_settings"]

_GROUP: Final = "rrq.app_settings"
_RUNTIME: Final = "python"


def app_settings(reference: str, options: GlobalOptions) -> "Settings | None":
    """Return the settings that an object is or holds, with the options of the command line on top; None where
    it holds none.

    Raises:
        CliError: No installed wheel loads such objects.
        SettingsError: It cannot be loaded.
    """
    from importlib.metadata import entry_points

    from msgspec.structs import replace

    from rrq_protocol.settings import parse_settings

    loaders = [each for each in entry_points(group=_GROUP) if each.name == _RUNTIME]
    if not loaders:
        fail(
            "--settings: install rrq-runner, which loads such objects: pip install rrq-runner", ExitCode.USAGE
        )
    found: Settings | None = loaders[0].load()(reference)
    if found is None:
        return None
    named = {"redis_dsn": options.redis_dsn, "key_prefix": options.prefix}
    given = {key: value for key, value in named.items() if value is not None}
    parsed = parse_settings(given)
    return replace(found, **{key: getattr(parsed, key) for key in given})
