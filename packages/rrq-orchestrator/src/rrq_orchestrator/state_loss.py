"""Whether Redis lost the state of the key space, or only this orchestrator was fenced (RELIABILITY.md F27,
F28, F39). Pure.

An orchestrator that Redis does not know any more was declared dead, or Redis lost what it held. Each
registration learns who registered first in this key space, and how many did: a key space that came back empty
has another first, and one from an older backup has not seen as many. One that is as new as the last
registration, or newer, still knows us, so that nobody asks.
"""

from typing import Final

from rrq_protocol.transitions import Registered

__all__ = ["LOSS_ACTION", "state_loss"]

LOSS_ACTION: Final = (
    "find out who restarted, emptied or restored Redis; give it persistence (`appendonly yes`), and enqueue "
    "again what is missing"
)
_EMPTY: Final = (
    "Redis came back empty: it was restarted without persistence, or emptied; jobs, results and dead letters "
    "are gone, and what ran then is not accepted any more"
)
_OLDER: Final = (
    "Redis came back with an older state, from a backup or a replica that lagged: jobs enqueued since are "
    "gone, and jobs that ended since may run again"
)


def state_loss(before: Registered | None, now: Registered) -> str | None:
    """Return what was lost between two registrations of one process, in words; None where nothing was, or
    where it cannot be told.
    """
    if before is None or not before.first or not now.first:
        return None
    if now.first != before.first:
        return _EMPTY
    return _OLDER if now.count <= before.count else None
