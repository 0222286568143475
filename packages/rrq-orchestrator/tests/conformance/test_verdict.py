"""What counts against a runner."""

from rrq_orchestrator.conformance.checks import CHECKS
from rrq_orchestrator.conformance.verdict import ALL, Outcome, Verdict, conforms


def test_a_note_is_no_failure() -> None:
    """Only what failed keeps a runner from conforming."""
    passed, noted, failed = (Outcome(CHECKS[0], verdict) for verdict in Verdict)
    order = {each.verdict: each for each in (passed, noted, failed)}
    assert conforms([order[Verdict.PASS], order[Verdict.NOTE]])
    assert not conforms([order[Verdict.PASS], order[Verdict.FAIL]])


def test_nothing_tried_is_nothing_shown() -> None:
    """Without one outcome a runner does not conform."""
    assert not conforms([])


def test_the_table_is_well_formed() -> None:
    """Names are words of their own, and every check can be tried somewhere."""
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    assert all(check.requirement and check.transports and check.transports <= ALL for check in CHECKS)
    assert [check.name for check in CHECKS if check.needed] == names[:1]
