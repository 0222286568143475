"""Who is dead, inferred from leases that do not change; pure (RELIABILITY.md 6.3).

An observer remembers per orchestrator the lease value and since when, by *its own monotonic time*, that
value stood. A value that stays the same for a whole lease, while the observer itself looked without a gap, is
a dead orchestrator's. A gap in the observer's own view, be it an outage of Redis or a stall of its loop,
starts all over, so that nobody is declared dead because nobody could beat.

No wall clock decides. The server's tells only at which moment between two looks a new value was written: it
can shift an observation by the time between them, about a second, and no jump of any clock by more.
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
        self._next_s = float("inf")

    def look(self, now_s: float, server_ms: float, leases: Iterable[tuple[str, float]]) -> list[Suspect]:
        """Return who should be fenced.

        Args:
            now_s: The observer's monotonic time.
            server_ms: The server's epoch ms; to date a new value between two looks, and to recognise leases
                left over from long ago.
            leases: Orchestrator ids with their lease values, all of them.
        """
        unseen_s = 0.0 if self._looked_s is None else now_s - self._looked_s
        if unseen_s > self._gap_s:
            self._seen.clear()
            unseen_s = 0.0
        self._looked_s = now_s
        seen: dict[str, tuple[float, float]] = {}
        suspects: list[Suspect] = []
        self._next_s = now_s + self._lease_s
        for orchestrator_id, lease in leases:
            before = self._seen.get(orchestrator_id)
            if before is not None and before[0] == lease:
                since_s = before[1]
            else:
                age_s = server_ms / 1000 - (lease / 1000 - self._lease_s)
                since_s = now_s - min(max(age_s, 0.0), unseen_s)
            seen[orchestrator_id] = (lease, since_s)
            due_s = since_s + self._patience_s(lease, server_ms)
            if now_s >= due_s:
                suspects.append(Suspect(orchestrator_id, lease))
            self._next_s = min(self._next_s, due_s)
        self._seen = seen
        return suspects

    def due_in_s(self, now_s: float) -> float:
        """Return after how many seconds somebody will be a suspect, if nothing changes; 0 if one is."""
        return max(0.0, self._next_s - now_s)

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
        self._next_s = float("inf")
