"""Instants as text for the wire, without formatting the same second twice (PERFORMANCE.md)."""

import time

__all__ = ["InstantFormatter"]


class InstantFormatter:
    """Format epoch milliseconds as RFC 3339 UTC. Deadlines of one batch mostly share their second."""

    def __init__(self) -> None:
        self._second, self._text = -1, ""

    def __call__(self, epoch_ms: int) -> str:
        """Return the text of an instant, e.g. ``2026-01-31T09:30:00.250Z``."""
        second, ms = divmod(epoch_ms, 1000)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{ms:03d}Z"
