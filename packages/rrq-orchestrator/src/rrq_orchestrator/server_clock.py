"""Whether the server's clock stepped back; pure (RELIABILITY.md 6.4, F49).

Due times go by the server's clock. If it steps back an hour, what was due is due in an hour. So its time is
held against our own monotonic time since the last look: the server cannot have lived through less of it than
we did between the answer then and the question now.
"""

import msgspec

__all__ = ["ServerClock"]

_TOLERANCE_MS = 1000.0
_DRIFT = 0.0005
"""Clocks may differ by so much in rate without a step: 500 parts per million."""


class ServerClock:
    """Give it every time the server tells."""

    def __init__(self) -> None:
        self._last: _Sample | None = None

    def told(self, server_ms: float, asked_s: float, answered_s: float) -> float | None:
        """Take in a time.

        Args:
            server_ms: Epoch ms, by the server.
            asked_s: Our monotonic time before it was asked.
            answered_s: Our monotonic time when it had answered.

        Returns:
            What the server's time would be at least, had it not stepped back by over a second; None if it
            has not.
        """
        last, self._last = self._last, _Sample(server_ms, answered_s)
        if last is None:
            return None
        elapsed_ms = max(0.0, asked_s - last.answered_s) * 1000
        expected_ms = last.server_ms + elapsed_ms
        return expected_ms if server_ms < expected_ms - _TOLERANCE_MS - elapsed_ms * _DRIFT else None


class _Sample(msgspec.Struct, frozen=True):
    server_ms: float
    answered_s: float
