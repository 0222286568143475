"""Who is dead, inferred from leases that do not change; pure (RELIABILITY.md 6.3).

No wall clock takes part. An observer remembers per orchestrator the lease value and *its own monotonic time*
at which it first saw that value. A value that stays the same for a whole lease, while the observer itself
looked without a gap, is a dead orchestrator's. A gap in the observer's own view, be it an outage of Redis or
a stall of its loop, starts all over, so that nobody is declared dead because nobody could beat.
"""

from collections.abc import Iterable

import msgspec

__all__ = ["LeaseObserver", "Suspect"]

_COLD_LEASES = 10
_COLD_BEATS = 3


class Suspect(msgspec.Struct, frozen=True):
    """An orchestrator to fence, with the value that must still stand then."""

    orchestrator_id: str
    lease: float


class LeaseObserver:
    """Feed it what ``rrq:workers`` holds, at every look; it names the suspects."""

    def __init__(self, lease_s: float, beat_s: float) -> None:
        self._lease_s, self._beat_s = lease_s, beat_s
        # Looks come about every second; one that comes later than this was not uninterrupted.
        self._gap_s = max(lease_s / 2, 3.0)
        self._seen: dict[str, tuple[float, float]] = {}
        self._looked_s: float | None = None

    def look(self, now_s: float, server_ms: float, leases: Iterable[tuple[str, float]]) -> list[Suspect]:
        """Return who should be fenced.

        Args:
            now_s: The observer's monotonic time.
            server_ms: The server's epoch ms; only to recognise leases left over from long ago.
            leases: Orchestrator ids with their lease values, all of them.
        """
        if self._looked_s is None or now_s - self._looked_s > self._gap_s:
            self._seen.clear()
        self._looked_s = now_s
        seen: dict[str, tuple[float, float]] = {}
        suspects: list[Suspect] = []
        for orchestrator_id, lease in leases:
            before = self._seen.get(orchestrator_id)
            since_s = before[1] if before is not None and before[0] == lease else now_s
            seen[orchestrator_id] = (lease, since_s)
            if now_s - since_s >= self._patience_s(lease, server_ms):
                suspects.append(Suspect(orchestrator_id, lease))
        self._seen = seen
        return suspects

    def _patience_s(self, lease: float, server_ms: float) -> float:
        """A whole lease; three beats for a value that ran out ten leases ago: the fleet was down, nobody is
        pausing.
        """
        if lease < server_ms - _COLD_LEASES * self._lease_s * 1000:
            return min(self._lease_s, _COLD_BEATS * self._beat_s)
        return self._lease_s

    def interrupted(self) -> None:
        """Redis could not be asked: what was seen before says nothing about silence any more."""
        self._seen.clear()
        self._looked_s = None
