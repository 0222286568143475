"""Secrets that lie open: modes of the files they are in, and command lines (RELIABILITY.md S8, S11).

Nothing here makes settings unusable: a mounted secret of a container is often readable by everyone in it, who
is one. `rrq config check` tells.
"""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from rrq_protocol.settings.model import Settings
from rrq_protocol.settings.tree import Origin

__all__ = ["find_exposed"]


def find_exposed(settings: Settings, origins: Mapping[str, Origin]) -> list[str]:
    """Return a sentence for each secret that others on this machine can read or replace.

    Args:
        settings: What was loaded.
        origins: Where each value came from, as ``load_settings_with_origins`` says.
    """
    return [
        *_on_the_command_line(settings, origins),
        *_in_the_config(settings, origins),
        *_in_files(settings),
    ]


def _on_the_command_line(settings: Settings, origins: Mapping[str, Origin]) -> Iterator[str]:
    if _kind(origins, "redis_dsn") == "override" and _has_password(settings):
        yield (
            "rrq.redis_dsn: a password on a command line is shown to every user of this machine; give it by "
            "redis_dsn_file or RRQ_REDIS_DSN"
        )


def _in_the_config(settings: Settings, origins: Mapping[str, Origin]) -> Iterator[str]:
    path = settings.provenance.config_file
    if path is None or not _mode(path) & stat.S_IROTH:
        return
    if (
        _kind(origins, "redis_dsn") == "file"
        and settings.provenance.dsn_file is None
        and _has_password(settings)
    ):
        yield f"rrq.redis_dsn: any user can read {path}, which holds its password; run `chmod o-r` on it"
    secret = [key for key, origin in origins.items() if ".env." in key and origin.kind == "file"]
    if secret:
        yield (
            f"rrq.{secret[0]}: any user can read {path}, which holds variables of runners; run `chmod o-r` "
            "on it if one of them is a secret"
        )


def _in_files(settings: Settings) -> Iterator[str]:
    for key, path in (
        ("redis_dsn_file", settings.provenance.dsn_file),
        ("redis_tls_key_file", settings.redis_tls_key_file),
    ):
        mode = 0 if path is None else _mode(path)
        if mode & stat.S_IWOTH:
            yield f"rrq.{key}: any user can change {path}; run `chmod o-rwx` on it"
        elif mode & stat.S_IROTH:
            yield f"rrq.{key}: any user can read {path}; run `chmod o-r` on it"


def _kind(origins: Mapping[str, Origin], key: str) -> str:
    origin = origins.get(key)
    return "" if origin is None else origin.kind


def _has_password(settings: Settings) -> bool:
    try:
        parts = urlsplit(settings.redis_dsn.reveal())
    except ValueError:
        return True
    return parts.password is not None or "password=" in parts.query


def _mode(path: str) -> int:
    try:
        return Path(path).stat().st_mode
    except OSError:
        return 0
