"""Which DLQs hold which ids, in eight bytes an entry: there may be a million."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable

__all__ = ["DlqBook"]


class DlqBook:
    """Fill it with :meth:`add`, then :meth:`seal` it, then ask.

    It keeps Python's 64-bit hash of each id. That two ids share one is as good as impossible, and would hide
    a finding at worst.
    """

    def __init__(self) -> None:
        self._hashes: dict[str, array[int]] = {}

    def add(self, dlq: str, job_ids: Iterable[str]) -> None:
        """Note entries of a DLQ."""
        self._hashes.setdefault(dlq, array("q")).extend(map(hash, job_ids))

    def seal(self) -> None:
        """Make ready to be asked."""
        self._hashes = {name: array("q", sorted(hashes)) for name, hashes in sorted(self._hashes.items())}

    def places(self, job_id: str) -> tuple[tuple[str, int], ...]:
        """Return the DLQs that hold an id, in the order of their names, and how often each does."""
        wanted = hash(job_id)
        found = []
        for name, hashes in self._hashes.items():
            first = bisect_left(hashes, wanted)
            if first < len(hashes) and hashes[first] == wanted:
                found.append((name, bisect_right(hashes, wanted, lo=first) - first))
        return tuple(found)
