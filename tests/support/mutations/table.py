"""All mutants, and which of them one run tries."""

import random
from collections.abc import Mapping
from typing import Final

from support.mutations import edges, moves, neighbours, orchestrator, scripts
from support.mutations.mutant import Mutant

__all__ = ["ALWAYS", "MUTANTS", "NO_SUCH_SHAPE", "SAMPLE", "UPSTREAM", "drawn"]

MUTANTS: Final = (
    *scripts.MUTANTS, *neighbours.MUTANTS, *moves.MUTANTS, *orchestrator.MUTANTS, *edges.MUTANTS
)  # fmt: skip

UPSTREAM: Final = tuple(f"U{number}" for number in range(1, 28))
"""Upstream's defects: each has a mutant here, or a reason why it can have none."""

NO_SUCH_SHAPE: Final[Mapping[str, str]] = {}

ALWAYS: Final = frozenset(UPSTREAM) & {mutant.tag for mutant in MUTANTS}
"""Every run tries upstream's own, each in its first form."""

SAMPLE: Final = 12
"""So many of the others are drawn for a run."""


def drawn(wanted: str, seed: str) -> list[Mutant]:
    """Return the mutants to try, in the order of the table.

    Args:
        wanted: ``all``, some tags with spaces between, or nothing for ``ALWAYS`` and a few at random.
        seed: Decides which.

    Raises:
        ValueError: There is no mutant of a tag.
    """
    if wanted == "all":
        return list(MUTANTS)
    tags = set(wanted.split())
    if unknown := tags - {mutant.tag for mutant in MUTANTS}:
        raise ValueError(f"no mutant is called {', '.join(sorted(unknown))}")
    if not tags:
        others = [mutant.tag for mutant in MUTANTS if mutant.tag not in ALWAYS]
        tags = {*ALWAYS, *random.Random(f"mutants {seed}").sample(others, SAMPLE)}
    return [mutant for mutant in MUTANTS if mutant.tag in tags]
