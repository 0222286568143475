"""The judge of failovers lets nothing pass."""

from support.chaos.ledger import Seen
from support.goals.failovers import Ledger


def _ledger() -> Ledger:
    """Two jobs that a replica was said to have, two others, one of which only the dead primary had."""
    return Ledger(["c1", "a1", "c2", "a2"], {"c1", "c2"}, {"a1", "a2"}, {"a2"})


def test_what_had_not_been_copied_may_be_lost() -> None:
    """It is named, and that is all."""
    found = _ledger().judge(["c1", "c2", "a1"])
    assert found.is_good
    assert found.unconfirmed == {"a2"}
    assert _ledger().judge(["c1", "c2", "a1", "a2"]).unconfirmed == set()


def test_a_confirmed_job_may_not_be_lost() -> None:
    """Not even if the replica that was promoted did not have it: then the confirmation was wrong."""
    ledger = _ledger()
    ledger.behind.add("c2")
    found = ledger.judge(["c1", "a1", "a2"])
    assert not found.is_good
    assert (found.confirmed, found.unconfirmed, found.unexplained) == ({"c2"}, set(), set())


def test_what_had_been_copied_may_not_be_lost() -> None:
    """Whatever was said of it."""
    found = _ledger().judge(["c1", "c2", "a2"])
    assert not found.is_good
    assert found.unexplained == {"a1"}


def test_a_claim_that_is_counted_again_has_its_number() -> None:
    """Redis went back to before a claim, so two executions would have the same name; the later one has its
    owner's behind it."""
    seen = Seen("start", "p.1-2", "p.1-2.3.77d9f094", 1, 2, 3, "o", 4.0)
    assert seen.claim_seq == 3
    assert Seen("start", "p.1-2", "p.1-2.3", 1, 2, 3, "o", 4.0).claim_seq == 3
