"""Names nobody knows: what was probably meant. Pure."""

from collections.abc import Sequence
from difflib import get_close_matches

__all__ = ["unknown_queue"]

_LISTED = 5


def unknown_queue(name: str, known: Sequence[str]) -> str:
    """Return a sentence for a queue name that is not among the ``known`` ones: the nearest one, or some."""
    lower = {each.lower(): each for each in known}
    near = get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    if near:
        return f"no queue {name} is known; did you mean {lower[near[0]]}?"
    listed = ", ".join(known[:_LISTED]) + (", …" if len(known) > _LISTED else "")
    return f"no queue {name} is known" + (f"; known are {listed}" if listed else "")
