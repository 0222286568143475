"""Names nobody knows: what was probably meant. Pure."""

from collections.abc import Sequence
from difflib import get_close_matches

__all__ = ["meant", "unknown_name", "unknown_queue"]

_LISTED = 5
_LONGEST = 40
"""Characters of a name that is listed; a longer one would fill the line."""


def meant(name: str, known: Sequence[str]) -> str | None:
    """Return the ``known`` name that a name was probably meant to be."""
    lower = {each.lower(): each for each in known}
    near = get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    return lower[near[0]] if near else None


def unknown_queue(name: str, known: Sequence[str]) -> str:
    """Return :func:`unknown_name` of a queue."""
    return unknown_name("queue", name, known)


def unknown_name(kind: str, name: str, known: Sequence[str]) -> str:
    """Return a sentence for a name that is not among the ``known`` ones: the nearest one, or some."""
    if (near := meant(name, known)) is not None:
        return f"no {kind} {name} is known; did you mean {near}?"
    short = [each for each in known if len(each) <= _LONGEST][:_LISTED]
    listed = ", ".join(short) + (", …" if len(known) > len(short) else "")
    return f"no {kind} {name} is known" + (f"; known are {listed}" if short else "")
