"""All mutants, and which of them one run tries."""

import random
from collections.abc import Mapping
from typing import Final

from support.mutations import edges, neighbours, orchestrator, scripts
from support.mutations.mutant import Mutant

__all__ = ["MUTANTS", "NO_SUCH_SHAPE", "SAMPLE", "UPSTREAM", "drawn"]

MUTANTS: Final = (*scripts.MUTANTS, *neighbours.MUTANTS, *orchestrator.MUTANTS, *edges.MUTANTS)

UPSTREAM: Final = tuple(f"U{number}" for number in range(1, 28))
"""Upstream's defects: each has a mutant here, or a reason why it can have none."""

NO_SUCH_SHAPE: Final[Mapping[str, str]] = {}

SAMPLE: Final = 12


def drawn(wanted: str, seed: str) -> list[Mutant]:
    """Return the mutants to try, in the order of the table.

    Args:
        wanted: ``all``, some tags with spaces between, or nothing for a few at random.
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
        tags = {mutant.tag for mutant in random.Random(f"mutants {seed}").sample(MUTANTS, SAMPLE)}
    return [mutant for mutant in MUTANTS if mutant.tag in tags]
