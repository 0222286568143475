"""Whether a file that was written really says something else.

A code generator that runs before each start writes its files each time. Were every write a change, it would
cause the next start, for ever.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

__all__ = ["Contents"]

_LARGEST: Final = 16 * 1024 * 1024
"""Bytes that are read; of a larger file, size and time stand for its content."""


class Contents:
    """Remembers what the files of ``folder`` held when it was last asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, bytes | None] = {}

    def differing(self, paths: Iterable[str]) -> list[str]:
        """Return those that hold something else than last time, or are asked for the first time."""
        found = []
        for path in paths:
            now = _fingerprint(self._folder / path)
            if path not in self._seen or self._seen[path] != now:
                found.append(path)
            self._seen[path] = now
        return found


def _fingerprint(path: Path) -> bytes | None:
    """Return what stands for the content, None where there is no file that can be read."""
    try:
        facts = path.stat()
        if facts.st_size > _LARGEST:
            return f"{facts.st_size} {facts.st_mtime_ns}".encode()
        return hashlib.blake2b(path.read_bytes()).digest()
    except OSError:
        return None
