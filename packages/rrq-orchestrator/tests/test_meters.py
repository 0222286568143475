"""What is counted on the way of jobs, and how little of it can come from outside."""

from rrq_orchestrator.attempts import Attempt
from rrq_orchestrator.meters import MAX_FUNCTIONS, OTHER, Histogram, Meters
from rrq_orchestrator.runners.base import Runner
from rrq_protocol.transitions import SettleKind
from support.orchestrating import StandInRunner, claimed
from support.runner_listeners import SilentListener

COMPLETE, FAIL, RELEASE = SettleKind.COMPLETE, SettleKind.FAIL, SettleKind.RELEASE


class Knowing(StandInRunner):
    """Has a handler of every name."""

    def has_handler(self, name: str) -> bool:
        return True


def _attempt(handler: str = "work", runner: str = "python", queue: str = "default") -> Attempt:
    attempt = Attempt(claimed(queue=queue), "o1", runner, handler, 60.0)
    attempt.start(100.0, 0)
    return attempt


def _runners(kind: type[StandInRunner] = StandInRunner) -> dict[str, Runner]:
    return {"python": kind(SilentListener())}


def test_a_value_falls_into_the_first_bucket_that_holds_it() -> None:
    """A bound belongs to its bucket; what is beyond the last one is counted too."""
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.add(value)
    assert (histogram.counts, histogram.total) == ([2, 1, 1], 12.0)


def test_a_wait_is_never_negative() -> None:
    """It is measured with the clocks of two machines."""
    meters = Meters()
    for wait_ms in (-500.0, 20.0):
        meters.claim("default", wait_ms)
    assert sum(meters.waits["default"].counts) == 2
    assert meters.waits["default"].total == 0.02


def test_an_end_is_counted_by_queue_runner_function_and_kind() -> None:
    """What was given back did not run its course, so it has no run time."""
    meters = Meters()
    for kind in (COMPLETE, COMPLETE, RELEASE):
        meters.end(_attempt(queue="mail"), kind, 102.0, _runners())
    assert meters.ended == {("mail", "python", COMPLETE): 2, ("mail", "python", RELEASE): 1}
    assert meters.functions == {("work", COMPLETE): 2, ("work", RELEASE): 1}
    assert meters.runs["mail", "python"].total == 4.0
    assert sum(meters.runs["mail", "python"].counts) == 2


def test_names_that_nobody_configured_are_one() -> None:
    """A job may name any runner and any function."""
    meters = Meters()
    for number in range(50):
        meters.end(_attempt(f"f{number}", f"r{number}"), FAIL, 101.0, _runners())
        meters.end(_attempt(f"f{number}"), FAIL, 101.0, _runners())
    assert meters.ended == {("default", OTHER, FAIL): 50, ("default", "python", FAIL): 50}
    assert meters.functions == {(OTHER, FAIL): 100}


def test_functions_are_capped() -> None:
    """A runner that announces thousands of handlers makes no thousands of series; the first stay."""
    meters = Meters()
    for number in [*range(2 * MAX_FUNCTIONS), 0]:
        meters.end(_attempt(f"f{number}"), COMPLETE, 101.0, _runners(Knowing))
    assert len(meters.functions) == MAX_FUNCTIONS + 1
    assert meters.functions[OTHER, COMPLETE] == MAX_FUNCTIONS
    assert meters.functions["f0", COMPLETE] == 2
