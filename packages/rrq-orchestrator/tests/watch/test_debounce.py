"""When to restart."""

from rrq_orchestrator.watch.debounce import LONGEST_WAIT_S, QUIET_S, due_s


def test_it_waits_for_quiet_and_not_for_ever() -> None:
    """A moment after the latest change; half a second after the first one at the latest."""
    assert due_s(10.0, 10.0) == 10.0 + QUIET_S
    assert due_s(10.0, 10.2) == 10.2 + QUIET_S
    assert due_s(10.0, 17.0) == 10.0 + LONGEST_WAIT_S
    assert QUIET_S < LONGEST_WAIT_S < 1.0
