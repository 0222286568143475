"""The whole of RRQ under random faults, in its small form; `make chaos` runs a larger one (RELIABILITY.md 5,
G1 to G20).
"""

import random

import pytest

from support.chaos.bench import run_round
from support.chaos.figures import lines_of
from support.chaos.options import SMALL, replaced
from support.tried import Tried


@pytest.mark.slow
def test_nothing_is_lost_repeated_without_reason_or_charged_to_the_wrong_one(
    rng: random.Random, tried: Tried
) -> None:
    """Three orchestrators, three producers and their Redis are killed, stopped, cut off and filled up at
    random while 2,500 jobs go through. Every acknowledged job runs and ends once; what ran twice did so
    because its process died; retries and crashes are charged to those who caused them; the keys fit
    together; nothing is left running. Slow because faults need something to interrupt.
    """
    options = replaced(SMALL, seed=rng.randrange(2**31))
    print(f"the same choices again: {options.repeat()}")
    outcome = run_round(options)
    for line in lines_of(outcome.figures):
        tried.say(f"chaos: {line}")
    report = "\n".join([f"everything is in {outcome.folder}", *outcome.report])
    assert not outcome.findings, report
    assert outcome.figures.accepted >= options.jobs
    assert outcome.figures.kills >= options.kills
