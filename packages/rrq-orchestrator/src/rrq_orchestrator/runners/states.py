"""The life of a pool slot, as a table.

Theory of operation
-------------------
A slot stands for one process of the pool; over time many processes pass through it. Rows are
``(state, event) -> next state``; a pair that is not in the table cannot happen, and asking for it is a
mistake of the caller's.

A slot whose process has to go while it may still finish other work does not wait for that: the process is on
its own from then on (it *drains*), and the slot is ``starting`` again at once. A process that is merely to
be renewed (``recycle``) serves on until its successor answers, which is what keeps a rolling restart from
losing capacity (F81).

::

    stopped --start--> starting --answered--> ready
                         |  ^                  | | |
                  failed |  | retry     crashed| | | quarantine, recycle
                         v  |                  | | v
                     backing_off <-------------+ | starting
                         |                       |
                         +--- stop (any state) --+--> stopping --ended--> stopped
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

__all__ = ["SLOT", "SlotEvent", "SlotState", "next_state"]

SlotState: TypeAlias = Literal["stopped", "starting", "ready", "backing_off", "stopping"]
SlotEvent: TypeAlias = Literal[
    "start", "answered", "failed", "retry", "crashed", "quarantine", "recycle", "stop", "ended"
]

SLOT: Final[Mapping[tuple[SlotState, SlotEvent], SlotState]] = MappingProxyType(
    {
        ("stopped", "start"): "starting",
        ("stopped", "stop"): "stopping",
        ("starting", "answered"): "ready",
        ("starting", "failed"): "backing_off",
        ("starting", "stop"): "stopping",
        ("backing_off", "retry"): "starting",
        ("backing_off", "stop"): "stopping",
        ("ready", "crashed"): "backing_off",
        ("ready", "quarantine"): "starting",
        ("ready", "recycle"): "starting",
        ("ready", "stop"): "stopping",
        ("stopping", "stop"): "stopping",
        ("stopping", "ended"): "stopped",
    }
)


def next_state(state: SlotState, event: SlotEvent) -> SlotState:
    """Return the state after ``event``.

    Raises:
        ValueError: The event cannot happen in this state.
    """
    try:
        return SLOT[state, event]
    except KeyError:
        raise ValueError(f"a slot that is {state} cannot meet {event!r}") from None
