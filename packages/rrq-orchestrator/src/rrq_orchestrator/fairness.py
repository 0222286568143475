"""How free capacity is shared between queues: pure (ARCHITECTURE.md, step 3 *fair shares*)."""

from collections.abc import Mapping, Sequence

__all__ = ["shares"]


def shares(weights: Mapping[str, int], free: int, turn: int, *, strict: bool) -> Sequence[tuple[str, int]]:
    """Return which queue is asked for how many jobs, in order.

    Each queue first gets its share of ``free`` by weight, at least one; then every queue is asked for what is
    left, so that nothing stays free while any queue has jobs. The first place rotates with ``turn``, so that
    a single free slot goes to each queue in turn, as often as its weight says.

    Args:
        weights: Queue name to weight >= 1, highest priority first when ``strict``.
        free: Free slots, >= 1.
        turn: A number that grows by one with each claim.
        strict: Ask the queues in order of weight, each for all that is free.
    """
    if len(weights) == 1:
        return [(queue, free) for queue in weights]
    if strict:
        return [(queue, free) for queue in sorted(weights, key=lambda name: -weights[name])]
    total = sum(weights.values())
    order = _rotated(weights, turn)
    first = [(queue, max(1, free * weights[queue] // total)) for queue in order]
    return [*first, *((queue, free) for queue in order)]


def _rotated(weights: Mapping[str, int], turn: int) -> list[str]:
    names = list(weights)
    place = turn % sum(weights.values())
    for index, name in enumerate(names):
        place -= weights[name]
        if place < 0:
            return names[index:] + names[:index]
    return names
