"""Settings that are accepted and do nothing, here or as the others stand; pure.

They are accepted because files of the public line hold them. Who has set one should know that it has no
effect.
"""

from collections.abc import Iterator
from typing import Final

from rrq_protocol import Settings

__all__ = ["WITHOUT_EFFECT", "without_effect"]

WITHOUT_EFFECT: Final = (
    "they are accepted and do nothing in this version: remove them, or do not rely on them"
)
"""What to do about them."""

_LOCK_MARGINS = ("default_lock_timeout_extension_seconds", "expected_job_ttl")


def without_effect(settings: Settings) -> tuple[str, ...]:
    """Return the keys that differ from their defaults and change nothing in an orchestrator."""
    return tuple(_found(settings))


def _found(settings: Settings) -> Iterator[str]:
    default = Settings()
    for key in () if settings.compat_job_locks else _LOCK_MARGINS:
        if getattr(settings, key) != getattr(default, key):
            yield key
