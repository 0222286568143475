"""Which queues are asked for suspects alone, and when; and what the claim loop makes of it."""

import asyncio

import pytest

from rrq_orchestrator.attempts import Stage
from rrq_orchestrator.claim import ClaimPlan
from rrq_orchestrator.suspect_book import SuspectBook
from rrq_protocol import Job
from rrq_protocol.transitions import QueueReply
from support.claiming import Claiming
from support.orchestrating import WITHIN_S, Bench, StandInPlaces

pytestmark = pytest.mark.anyio

NOTHING = QueueReply(0, 0, None, "")
FURTHER = QueueReply(0, 68, 5.0, "5 68")
ONE = QueueReply(1, 3, 5.0, "")


def book(*queues: str, asked_at_s: float = 100.0) -> SuspectBook:
    """Return a book that has just asked its first queue on the chance."""
    made = SuspectBook(queues, 0.1)
    assert made.to_ask(asked_at_s) == [(queues[0], "")]
    made.learn(queues[0], NOTHING, asked_at_s)
    return made


async def test_without_suspects_one_queue_is_asked_now_and_then() -> None:
    """In turn, so that it costs the same whether one queue is served or fifty."""
    made = book("a", "b")
    assert made.to_ask(101.9) == []
    assert made.next_look_s() == 102.0
    assert made.to_ask(102.0) == [("b", "")]
    assert made.to_ask(102.0) == []
    assert made.to_ask(104.0) == [("a", "")]


async def test_a_queue_is_asked_at_once_while_it_gives_suspects() -> None:
    """The one that gave one last comes last; what is not served is not asked."""
    made = book("a", "b", "c")
    for queue in ("b", "a", "elsewhere"):
        made.seen(queue)
    assert made.next_look_s() == 0.0
    assert made.to_ask(100.0) == [("b", ""), ("a", "")]
    made.seen("b")
    made.learn("b", ONE, 100.0)
    made.learn("a", NOTHING, 100.0)
    assert made.to_ask(100.0) == [("b", "")]
    assert made.to_ask(100.1) == [("a", ""), ("b", "")]


async def test_a_look_goes_on_behind_the_last_one_and_the_head_is_not_forgotten() -> None:
    """Ordinary jobs may stand before a suspect; and once a second the head is looked at again."""
    made = book("a")
    made.seen("a")
    assert made.to_ask(100.0) == [("a", "")]
    made.learn("a", FURTHER, 100.0)
    assert made.to_ask(100.05) == []
    assert made.to_ask(100.1) == [("a", "5 68")]
    made.learn("a", FURTHER, 100.1)
    assert made.to_ask(101.0) == [("a", "")]
    made.learn("a", FURTHER, 101.0)
    made.seen("a")
    assert made.to_ask(101.0) == [("a", "")]


async def test_a_queue_that_gives_none_for_a_while_is_asked_no_more() -> None:
    """But for the chance. The while begins with the first look: until then there may have been no place."""
    made = book("a", "b")
    made.seen("a")
    made.to_ask(1000.0)
    made.learn("a", NOTHING, 1000.0)
    made.learn("a", NOTHING, 1004.9)
    assert ("a", "") in made.to_ask(1004.9 + 0.1)
    made.no_place()
    made.learn("a", NOTHING, 2000.0)
    made.learn("a", NOTHING, 2004.9)
    made.learn("a", NOTHING, 2005.0)
    assert made.to_ask(2006.0) == [("b", "")]
    assert made.next_look_s() == 2008.0
    made.learn("b", FURTHER, 2006.0)
    assert made.to_ask(2007.9) == []


async def test_suspects_stay_in_the_queue_until_there_is_a_place(bench: Bench) -> None:
    """One that waits in nobody's hands can be taken by whoever has a place first, and is not held up by a
    death; ordinary jobs behind it start meanwhile.
    """
    await bench.register()
    places = StandInPlaces(bench.dispatcher, capacity=1)
    bench.runner.isolation = places
    suspects = await bench.enqueue(*(Job("work") for _ in range(3)))
    claiming = Claiming(bench, ClaimPlan({"default": 1}, poll_s=0.01))
    await bench.runner.requests(3)
    bench.runner.crash("killed by SIGKILL with 3 in flight")
    while not places.held:
        await claiming.loop.passes.next()
    await bench.enqueue(Job("work"))
    await bench.runner.requests(1)
    assert {attempt.stage for attempt in bench.dispatcher.attempts} == {Stage.RUNNING}
    ran = []
    for _ in suspects:
        while not places.held:
            await claiming.loop.passes.next()
        ran += [request.job_id for request in places.held]
        places.answer()
    assert sorted(ran) == sorted(suspects)
    await claiming.stop()


async def test_suspects_are_taken_while_no_ordinary_slot_is_free(bench: Bench) -> None:
    """Those that this orchestrator put back, and those that somebody else left behind ordinary jobs: by the
    free places, and no ordinary job with them (ADR 0017).
    """
    await bench.register()
    places = StandInPlaces(bench.dispatcher, capacity=2)
    bench.runner.isolation, bench.runner.capacity = places, 3
    suspects = await bench.enqueue(*(Job("work") for _ in range(3)))
    claiming = Claiming(bench, ClaimPlan({"default": 1}, poll_s=0.01))
    await bench.runner.requests(3)
    places.capacity = 0
    bench.runner.crash("killed by SIGKILL with 3 in flight")
    long = await bench.enqueue(*(Job("work") for _ in range(200)))
    await bench.runner.requests(3)
    # Behind the others, where the first look at the head does not find it.
    await bench.client.hset(bench.keyspace.job(long[150]), "suspect", "1")
    places.capacity, ran = 2, []
    claiming.loop.capacity_freed()
    async with asyncio.timeout(WITHIN_S):
        for _ in range(4):
            while not places.held:
                await claiming.loop.passes.next()
            ran += [request.job_id for request in places.held[-1:]]
            places.answer()
    assert sorted(ran) == sorted([*suspects, long[150]])
    assert sorted(request.job_id for request in bench.runner.open.values()) == sorted(long[:3])
    await claiming.stop()


async def test_no_suspect_is_taken_beyond_the_attempts_allowed_nor_without_a_process(bench: Bench) -> None:
    """worker_concurrency counts suspects as well; and where no ordinary process is left, none is claimed."""
    await bench.register()
    places = StandInPlaces(bench.dispatcher, capacity=4)
    bench.runner.isolation, bench.runner.capacity = places, 1
    plan = ClaimPlan({"default": 1}, poll_s=0.001, concurrency=2)
    ids = await bench.enqueue(*(Job("work") for _ in range(5)))
    for job_id in ids[1:]:
        await bench.client.hset(bench.keyspace.job(job_id), "suspect", "1")
    claiming = Claiming(bench, plan)
    while len(bench.dispatcher.attempts) < 2:
        await claiming.loop.passes.next()
    for _ in range(3):
        claiming.loop.capacity_freed()
        await claiming.loop.passes.next()
    assert (len(bench.runner.open), len(places.held)) == (1, 1)
    bench.runner.capacity = 0
    bench.runner.crash("killed by SIGKILL with 1 in flight")
    places.answer()
    for _ in range(3):
        claiming.loop.capacity_freed()
        await claiming.loop.passes.next()
    assert places.held == []
    await claiming.stop()
