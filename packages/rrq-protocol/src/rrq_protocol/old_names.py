"""Functions of earlier versions that read settings, kept for the programs that call them."""

import os
from typing import Any

from rrq_protocol.settings import Settings, load_settings

__all__ = ["AppSettings", "RRQSettings", "load_toml_settings"]


class AppSettings(Settings, frozen=True, kw_only=True):
    """Settings together with handlers, as ``--settings`` of the first library names them.

    Attributes:
        job_registry: The handlers, a ``Registry``.
        on_startup, on_shutdown: Called before the first job and after the last one; see ``RunnerSettings``.
    """

    job_registry: Any = None
    on_startup: Any = None
    on_shutdown: Any = None


def RRQSettings(  # noqa: N802 - it was a class
    *, job_registry: Any = None, on_startup: Any = None, on_shutdown: Any = None, **values: Any
) -> AppSettings:
    """Return the settings of ``rrq.toml``, ``RRQ_*`` variables and, above both, ``values``.

    With a ``job_registry``, ``rrq worker run --settings`` takes them.

    Raises:
        SettingsError: They have problems, all of them listed.
    """
    loaded = load_settings(overrides=values)
    fields = {name: getattr(loaded, name) for name in Settings.__struct_fields__}
    return AppSettings(**fields, job_registry=job_registry, on_startup=on_startup, on_shutdown=on_shutdown)


def load_toml_settings(config_path: str | os.PathLike[str] | None = None) -> Settings:
    """Return the settings of a file and of the environment; see :func:`rrq_protocol.load_settings`."""
    return load_settings(config_path)
