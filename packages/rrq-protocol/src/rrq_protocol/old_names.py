"""Functions of earlier versions that read settings, kept for the programs that call them."""

import os
from typing import Any

from rrq_protocol.settings import Settings, load_settings

__all__ = ["RRQSettings", "load_toml_settings"]


def RRQSettings(**values: Any) -> Settings:  # noqa: N802 - it was a class
    """Return the settings of ``rrq.toml``, ``RRQ_*`` variables and, above both, ``values``.

    Raises:
        SettingsError: They have problems, all of them listed.
    """
    return load_settings(overrides=values)


def load_toml_settings(config_path: str | os.PathLike[str] | None = None) -> Settings:
    """Return the settings of a file and of the environment; see :func:`rrq_protocol.load_settings`."""
    return load_settings(config_path)
