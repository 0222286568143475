"""Defects to seed into copies of our code, one at a time: the suite has to catch every one (RELIABILITY.md
5).

First upstream's own, U1 to U27 of RELIABILITY.md 2.4, in the shape they would have here; then others that
would break a promise of the design without breaking a demonstration. A row is a :class:`Mutant`: the text to
replace, and the tests that have to fail.
"""

from support.mutations.bench import TrialBench
from support.mutations.mutant import Edit, Mutant, Stale, seed
from support.mutations.table import ALWAYS, MUTANTS, NO_SUCH_SHAPE, UPSTREAM, drawn
from support.mutations.trials import Report, Trial, Trials, Verdict, judge, problems_of_baseline

__all__ = [
    "ALWAYS",
    "MUTANTS",
    "NO_SUCH_SHAPE",
    "UPSTREAM",
    "Edit",
    "Mutant",
    "Report",
    "Stale",
    "Trial",
    "TrialBench",
    "Trials",
    "Verdict",
    "drawn",
    "judge",
    "problems_of_baseline",
    "seed",
]
