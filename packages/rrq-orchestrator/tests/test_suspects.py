"""Which suspects wait, and which may start."""

import pytest

from rrq_orchestrator.attempts import Attempt, Stage
from rrq_orchestrator.suspects import Suspects
from rrq_protocol import WireRequest
from support.orchestrating import StandInRunner, claimed
from support.runner_pools import Recorder

pytestmark = pytest.mark.anyio


class StandInIsolation:
    """Places for one request each, opened and closed by the test; it remembers how many were wanted."""

    def __init__(self, free: int = 0) -> None:
        self.free, self.works = free, True
        self.opens: list[int] = []

    @property
    def room(self) -> int | None:
        return self.free if self.works else None

    def open(self, wanted: int) -> bool:
        self.opens.append(wanted)
        return self.works

    def submit(self, request: WireRequest) -> None:
        raise AssertionError("the dispatcher submits")


def attempt(job_id: str) -> Attempt:
    """Return an attempt that was about to start."""
    made = Attempt(claimed(job_id, suspect=True), "o1", "python", "work", 5.0)
    made.start(1.0, 1000)
    return made


def runner(isolation: StandInIsolation | None) -> StandInRunner:
    """Return a runner with these places."""
    made = StandInRunner(Recorder())
    made.isolation = isolation
    return made


async def test_a_runner_without_places_of_its_own_detains_nobody() -> None:
    """Nor does one whose places do not come up, nor one that is not configured here."""
    suspects, broken = Suspects(), StandInIsolation()
    broken.works = False
    for each in (None, runner(None), runner(broken)):
        held = attempt("j")
        assert not suspects.detain(held, each)
        assert held.stage is Stage.RUNNING
    assert not suspects


async def test_suspects_start_in_order_as_places_come_free() -> None:
    """One per free place; their time does not run before; those ended meanwhile are passed over."""
    suspects, places = Suspects(), StandInIsolation()
    runners = {"python": runner(places)}
    first, ended, last = (attempt(name) for name in ("a", "b", "c"))
    for each in (first, ended, last):
        assert suspects.detain(each, runners["python"])
        assert (each.stage, each.deadline_s) == (Stage.WAITING, float("inf"))
    assert list(suspects.released(runners)) == []
    assert places.opens == [1, 2, 3, 3]
    ended.stage = Stage.CANCELLING
    places.free = 2
    started = []
    for each, where in suspects.released(runners):
        assert where is places
        places.free -= 1
        started.append(each)
    assert started == [first, last]
    assert not suspects


async def test_no_more_are_taken_than_there_are_places() -> None:
    """Those that wait for a place count; a runner without places is not listed."""
    suspects, places, broken = Suspects(), StandInIsolation(free=2), StandInIsolation()
    broken.works = False
    runners = {"python": runner(places), "none": runner(None), "broken": runner(broken)}
    assert suspects.room(runners) == {"python": 2}
    suspects.detain(attempt("a"), runners["python"])
    assert suspects.room(runners) == {"python": 1}
    places.free = 0
    assert suspects.room(runners) == {"python": 0}


async def test_those_without_a_place_to_wait_for_are_given_up() -> None:
    """A place that others wait for does not come up: the latest go, for elsewhere there may be one. Those
    ended meanwhile are passed over, and where no place can be had at all nobody is given up.
    """
    suspects, places = Suspects(), StandInIsolation(free=3)
    runners = {"python": runner(places)}
    first, second, ended = (attempt(name) for name in ("a", "b", "c"))
    for each in (first, second, ended):
        suspects.detain(each, runners["python"])
    ended.stage = Stage.CANCELLING
    assert list(suspects.surplus(runners)) == []
    places.free = 1
    assert list(suspects.surplus(runners)) == [second]
    places.works = False
    assert list(suspects.surplus(runners)) == []
    places.works, places.free = True, 0
    assert list(suspects.surplus(runners)) == [first]
    assert not suspects


async def test_places_come_up_beside_the_ordinary_processes() -> None:
    """While none of those is left no suspect is claimed, and the places are not waited for twice; while one
    is left, whoever has a place first takes the suspects.
    """
    suspects, places = Suspects(), StandInIsolation()
    ordinary = runner(places)
    suspects.prepare(ordinary, 3)
    assert places.opens == []
    ordinary.capacity = 0
    suspects.prepare(ordinary, 3)
    assert places.opens == [3]
    suspects.prepare(runner(None), 3)


async def test_suspects_run_among_others_when_no_place_comes_up() -> None:
    """Running at a risk is better than not running; but not beyond the runner's own slots."""
    suspects, places = Suspects(), StandInIsolation()
    ordinary = runner(places)
    ordinary.capacity = 0
    suspects.detain(attempt("a"), ordinary)
    places.works = False
    assert list(suspects.released({"python": ordinary})) == []
    ordinary.capacity = 1
    assert [where for _, where in suspects.released({"python": ordinary})] == [ordinary]
