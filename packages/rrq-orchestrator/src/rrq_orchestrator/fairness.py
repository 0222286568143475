"""How free capacity is shared between queues: pure (ARCHITECTURE.md, step 3 *fair shares*)."""

from collections.abc import Mapping
from functools import lru_cache

__all__ = ["shares"]

_CHUNK = 8
"""Jobs asked of one queue at a time: asking many queues for one job each would cost more than the jobs."""


def shares(
    weights: Mapping[str, int], free: int, turn: int, *, strict: bool
) -> tuple[list[tuple[str, int]], int]:
    """Return which queues to ask for how many jobs, and the turn to go on with.

    Capacity is dealt in chunks along a cycle in which each queue stands as often as its weight says, so that
    over time every queue is asked for its share exactly, however small a claim is. What a queue leaves is
    asked of the others by the next claim, which follows at once.

    Args:
        weights: Queues that have jobs, with weights >= 1.
        free: Free slots, >= 1.
        turn: Where in the cycle the last claim stopped.
        strict: Ask in the order of the weights, each queue for all that is free.
    """
    if strict or len(weights) == 1:
        return [(queue, free) for queue in sorted(weights, key=lambda name: -weights[name])], turn
    cycle = _cycle(tuple(weights.items()))
    steps = max(1, free // _CHUNK)
    asked: dict[str, int] = {}
    for step in range(steps):
        queue = cycle[(turn + step) % len(cycle)]
        # The chunks of all steps add up to `free`, whether or not it divides evenly.
        asked[queue] = asked.get(queue, 0) + free * (step + 1) // steps - free * step // steps
    return list(asked.items()), turn + steps


@lru_cache(maxsize=64)
def _cycle(weights: tuple[tuple[str, int], ...]) -> tuple[str, ...]:
    """Return the queues, each as often as its weight, spread evenly over the cycle."""
    places = [((nth + 0.5) / weight, queue) for queue, weight in weights for nth in range(weight)]
    return tuple(queue for _, queue in sorted(places))
