"""Builds of Redis and Valkey with known flaws in their Lua engine (RELIABILITY.md S19). Pure.

Whoever may send EVAL, as every producer must, can attack such a server.
"""

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["flaws_of"]

Branch = tuple[int, int]
_ESCAPE_2025: Final = "CVE-2025-49844, CVE-2025-46817, CVE-2025-46818, CVE-2025-46819"
_ESCAPE_2024: Final = "CVE-2024-46981"
# The first patch release of each maintained branch that has the mend. Older branches never got it, newer ones
# always had it.
_MENDED: Final[Mapping[str, tuple[tuple[str, Mapping[Branch, int]], ...]]] = {
    "Redis": (
        (_ESCAPE_2025, {(6, 2): 20, (7, 2): 11, (7, 4): 6, (8, 0): 4, (8, 2): 2}),
        (_ESCAPE_2024, {(6, 2): 17, (7, 2): 7, (7, 4): 2}),
    ),
    "Valkey": (
        (_ESCAPE_2025, {(7, 2): 11, (8, 0): 6, (8, 1): 4}),
        (_ESCAPE_2024, {(7, 2): 8, (8, 0): 2}),
    ),
}
_version = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})").match


def flaws_of(product: str, version: str) -> str | None:
    """Return the flaws known of a build, and where they are mended; None where none is known.

    Args:
        product: ``"Redis"`` or ``"Valkey"``; of others nothing is known.
        version: As the server tells it. A distribution that mends an old version keeps its number.
    """
    numbers = _version(version)
    if numbers is None:
        return None
    major, minor, patch = (int(number) for number in numbers.groups())
    here = [
        (names, mended) for names, mended in _MENDED.get(product, ()) if _lacks(mended, major, minor, patch)
    ]
    if not here:
        return None
    # The newest mend comes first, and brings the older ones.
    releases = ", ".join(f"{a}.{b}.{least}" for (a, b), least in sorted(here[0][1].items()))
    return f"{', '.join(names for names, _ in here)}; mended in {product} {releases}"


def _lacks(mended: Mapping[Branch, int], major: int, minor: int, patch: int) -> bool:
    first = mended.get((major, minor))
    return (major, minor) < max(mended) if first is None else patch < first
