"""Each defect of `support.mutations`, seeded into a copy of our code, is caught by the tests named for it.

`make test` tries upstream's own and a few more, drawn by the run's seed; `make mutations` tries all.
"""

import pytest

from support.mutations import Mutant, TrialBench, Verdict, problems_of_baseline


def test_a_mutant_is_caught(mutant: Mutant, trial_bench: TrialBench, told: list[Verdict]) -> None:
    """The tests named fail on the changed code, because of what they find there; unchanged, they pass."""
    baseline = trial_bench.baseline()
    assert problems_of_baseline(baseline) == [], baseline.output
    verdict = trial_bench.verdict(mutant)
    told.append(verdict)
    if verdict.skipped:
        pytest.skip("its tests are not for this system")
    assert verdict.problem == "", str(verdict)
