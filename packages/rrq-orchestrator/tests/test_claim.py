"""The claim loop: when it looks, what it takes, what it leaves."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rrq_orchestrator.claim import ClaimPlan
from rrq_orchestrator.errors import RedisGone
from rrq_orchestrator.store import RedisLink
from rrq_protocol import Job, JobStatus, ScriptCall, SystemClock
from rrq_protocol.transitions import ClaimRequest, SettleKind, Settlement, SettleReply, claim, fence
from support.claiming import PATIENT, Claiming
from support.orchestrating import WITHIN_S, Bench, StandInPlaces, StandInRunner, T, succeeded

pytestmark = pytest.mark.anyio


async def test_a_marker_starts_a_job_that_comes_later(bench: Bench) -> None:
    """No poll is needed between the enqueue and the start."""
    await bench.register()
    claiming = Claiming(bench, PATIENT)
    await claiming.loop.passes.next()
    await bench.enqueue(Job("work"))
    assert len(await bench.runner.requests(1)) == 1
    await claiming.stop()


async def test_a_job_without_a_marker_is_found_by_the_fallback_poll(bench: Bench) -> None:
    """Foreign producers only write the hash and the queue entry."""
    await bench.register()
    claiming = Claiming(bench, ClaimPlan({"default": 1}, poll_s=0.01))
    await claiming.loop.passes.next()
    (job_id,) = await bench.enqueue(Job("work", defer_by=3600))
    await bench.client.delete(bench.keyspace.wake("default"))
    await bench.client.zadd(bench.keyspace.queue("default"), {job_id: 0})
    assert (await bench.runner.requests(1))[0].job_id == job_id
    await claiming.stop()


async def test_a_deferred_job_starts_when_it_is_due(bench: Bench) -> None:
    """The loop sleeps until the earliest due time, not until the next poll."""
    await bench.register()
    claiming = Claiming(bench, PATIENT)
    await claiming.loop.passes.next()
    await bench.enqueue(Job("work", defer_by=0.05))
    assert len(await bench.runner.requests(1)) == 1
    await claiming.stop()


async def test_no_more_is_taken_than_there_are_slots_and_a_free_slot_takes_the_next(bench: Bench) -> None:
    """Ready jobs stay in the queue, for other orchestrators too."""
    await bench.register()
    bench.runner.capacity = 2
    ids = await bench.enqueue(*(Job("work") for _ in range(5)))
    claiming = Claiming(bench, PATIENT)
    first, _ = await bench.runner.requests(2)
    assert await bench.client.zcard(bench.keyspace.queue("default")) == 3
    assert await bench.client.llen(bench.keyspace.wake("default")) == 1
    bench.runner.answer(succeeded(first))
    open_ids = {request.job_id for request in await bench.runner.requests(2)}
    assert open_ids == {ids[1], ids[2]}
    await claiming.stop()


async def test_a_full_runner_hides_nobody(bench: Bench) -> None:
    """A thousand jobs for a runner without a slot do not keep another runner's job waiting (upstream U17,
    U20).
    """
    await bench.register()
    slow = StandInRunner(bench.dispatcher, "slow", capacity=1)
    await bench.enqueue(*(Job("slow#work") for _ in range(1000)))
    (last,) = await bench.enqueue(Job("quick"))
    claiming = Claiming(bench, ClaimPlan({"default": 1}, poll_s=0.001), python=bench.runner, slow=slow)
    assert (await bench.runner.requests(1))[0].job_id == last
    assert len(slow.open) == 1
    await claiming.stop()


async def test_concurrency_caps_all_runners_together(bench: Bench) -> None:
    """worker_concurrency counts attempts, not slots."""
    await bench.register()
    other = StandInRunner(bench.dispatcher, "other")
    await bench.enqueue(*(Job(name) for name in ("work", "other#work") * 5))
    plan = ClaimPlan({"default": 1}, poll_s=30.0, concurrency=3)
    claiming = Claiming(bench, plan, python=bench.runner, other=other)
    while len(bench.dispatcher.attempts) < 3:
        await claiming.loop.passes.next()
    await claiming.loop.passes.next()
    assert len(bench.runner.open) + len(other.open) == 3
    await claiming.stop()


async def test_paused_queues_are_left_alone(bench: Bench) -> None:
    """Until they are resumed."""
    await bench.register()
    await bench.client.sadd(bench.keyspace.paused, "default")
    await bench.enqueue(Job("work"))
    claiming = Claiming(bench, ClaimPlan({"default": 1}, poll_s=0.005))
    await claiming.loop.passes.next(3)
    assert bench.runner.open == {}
    await bench.client.srem(bench.keyspace.paused, "default")
    await bench.runner.requests(1)
    await claiming.stop()


async def test_a_fenced_orchestrator_claims_nothing_and_says_so(bench: Bench) -> None:
    """Until it is registered again."""
    await bench.register()
    assert await bench.run(
        fence(bench.keyspace, "o1", await bench.client.zscore(bench.keyspace.workers, "o1") or 0)
    )
    await bench.enqueue(Job("work"))
    claiming = Claiming(bench, PATIENT)
    await claiming.loop.passes.next()
    assert claiming.member.told == ["o1"]
    assert bench.runner.open == {}
    await bench.register()
    claiming.member._ok.set()  # only now: a pass before it would be told again, and wait for the next word
    await bench.runner.requests(1)
    await claiming.stop()


class LosesOneReply:
    """A link that carries out the first transition and loses its reply, as a cut connection does."""

    def __init__(self, link: RedisLink) -> None:
        self._link, self._lost = link, False

    async def run(self, call: ScriptCall[T]) -> T:
        result = await self._link.run(call)
        if not self._lost:
            self._lost = True
            raise RedisGone("test", "the reply was lost")
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)


async def test_a_claim_whose_reply_was_lost_is_given_back(bench: Bench) -> None:
    """Redis counts the job as ours, we know nothing of it: released, uncounted, then claimed again (F46)."""
    await bench.register()
    (job_id,) = await bench.enqueue(Job("work"))
    claiming = Claiming(bench, PATIENT, LosesOneReply)
    (request,) = await bench.runner.requests(1)
    record = await bench.record(job_id)
    assert request.job_id == job_id
    assert (record.status, record.claim_seq, record.crash_count) == (JobStatus.ACTIVE, 2, 0)
    assert [(each.claim_seq, each.message) for each in record.releases] == [
        (1, "the answer to its claim was lost")
    ]
    await claiming.stop()


async def test_an_end_that_waits_to_be_written_is_not_given_back(bench: Bench) -> None:
    """After a lost reply, a job whose attempt has ended counts as known: it is not run again (F46)."""
    await bench.register()
    (job_id,) = await bench.enqueue(Job("work"))
    reply = await bench.run(claim(bench.keyspace, "o1", [ClaimRequest("default", "python", 1)], {}))
    claiming = Claiming(bench, PATIENT)
    claiming.tasks[2].cancel()  # the settler: it does not get to write
    (job,) = reply.jobs
    bench.settler.put("o1", Settlement(job_id, job.claim_seq, SettleKind.COMPLETE, "default", b"1"))
    claiming.loop.in_doubt = True
    await claiming.loop.give_back_unknown("o1")
    assert (await bench.record(job_id)).status is JobStatus.ACTIVE
    await bench.settled()
    assert bench.settler.replies == {SettleReply.OK: 1}
    assert (await bench.record(job_id)).status is JobStatus.COMPLETED
    await claiming.stop()


async def test_burst_ends_at_once_where_nothing_can_run(bench: Bench) -> None:
    """Without any runner there is nothing to wait for."""
    await bench.register()
    claiming = Claiming(bench, ClaimPlan({"default": 1}, burst=True))
    bench.dispatcher.connect({}, claiming.loop.capacity_freed)
    await claiming.loop.exhausted.wait()
    await claiming.stop()


async def test_burst_ends_when_nothing_is_ready_and_nothing_runs(bench: Bench) -> None:
    """`rrq worker run --burst`: deferred jobs are not waited for."""
    await bench.register()
    bench.runner.auto = succeeded
    await bench.enqueue(*(Job("work") for _ in range(30)), Job("later", defer_by=3600))
    claiming = Claiming(bench, ClaimPlan({"default": 1}, poll_s=0.01, burst=True))
    await claiming.loop.exhausted.wait()
    assert await bench.client.zcard(bench.keyspace.queue("default")) == 1
    await claiming.stop()


async def test_burst_ends_where_there_are_more_queues_than_slots(bench: Bench) -> None:
    """One slot is the share of one queue at a time; the last look is at all of them."""
    await bench.register()
    bench.runner.auto = succeeded
    await bench.enqueue(*(Job("work", queue_name=queue) for queue in ("heavy", "light") for _ in range(4)))
    plan = ClaimPlan({"heavy": 3, "light": 1}, poll_s=0.005, concurrency=1, burst=True)
    claiming = Claiming(bench, plan)
    await claiming.loop.exhausted.wait()
    for queue in plan.weights:
        assert await bench.client.zcard(bench.keyspace.queue(queue)) == 0
    await claiming.stop()


async def test_burst_does_not_end_before_what_comes_back_has_run(bench: Bench) -> None:
    """A job whose end is not yet written may be put back into its queue: until it is written, and the queue
    looked at after that, nobody can say that no job is ready.
    """
    await bench.register()
    claiming = Claiming(bench, ClaimPlan({"default": 1}, poll_s=0.005, burst=True))
    claiming.tasks[2].cancel()  # the settler: it does not get to write
    (job_id,) = await bench.enqueue(Job("work"))
    await bench.runner.requests(1)
    bench.runner.crash()
    await claiming.loop.passes.next(5)
    assert not claiming.loop.exhausted.is_set()
    claiming.tasks.append(asyncio.create_task(bench.settler.run()))
    (again,) = await bench.runner.requests(1)
    assert again.job_id == job_id
    bench.runner.answer(succeeded(again))
    await claiming.loop.exhausted.wait()
    assert (await bench.record(job_id)).status is JobStatus.COMPLETED
    await claiming.stop()


async def test_burst_does_not_end_while_a_process_comes_up_for_a_ready_job(bench: Bench) -> None:
    """A suspect waits for a place, whose process was killed by another one; an ordinary job for its runner's
    processes, while another runner has slots.
    """
    await bench.register()
    places, other = StandInPlaces(bench.dispatcher, capacity=0), StandInRunner(bench.dispatcher, "other")
    bench.runner.isolation = places
    other.state = "starting"
    suspect, ordinary = await bench.enqueue(Job("work"), Job("other#work"))
    await bench.client.hset(bench.keyspace.job(suspect), "suspect", "1")
    plan = ClaimPlan({"default": 1}, poll_s=0.005, burst=True)
    claiming = Claiming(bench, plan, python=bench.runner, other=other)
    await claiming.loop.passes.next(5)
    assert not claiming.loop.exhausted.is_set()
    places.capacity = 1
    while not places.held:
        await claiming.loop.passes.next()
    places.answer()
    await claiming.loop.passes.next(5)
    assert not claiming.loop.exhausted.is_set()
    other.state = "ready"
    (request,) = await other.requests(1)
    assert request.job_id == ordinary
    other.answer(succeeded(request))
    await claiming.loop.exhausted.wait()
    await claiming.stop()


class Leaping(SystemClock):
    """Our own monotonic time can be put ahead: the server's clock then stands as if it had been put back."""

    ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


async def test_a_step_back_of_the_servers_clock_holds_up_nothing(bench: Bench) -> None:
    """What was due before the step runs at once, what was not waits on (F49)."""
    await bench.register()
    bench.clock = clock = Leaping()
    due, later = await bench.enqueue(Job("due", defer_by=1800), Job("later", defer_by=7200))
    claiming = Claiming(bench, PATIENT)
    await claiming.loop.passes.next()
    assert bench.runner.open == {}
    clock.ahead_s = 3600
    claiming.loop.wake("default")
    (request,) = await bench.runner.requests(1)
    assert request.job_id == due
    assert await bench.client.zrange(bench.keyspace.queue("default"), 0, -1) == [later.encode()]
    await claiming.stop()


async def test_a_claim_that_reached_redis_late_is_given_back(bench: Bench) -> None:
    """Its sender had given it up; nobody runs the job, until the next review of what we hold."""
    await bench.register()
    bench.clock = clock = Leaping()
    claiming = Claiming(bench, PATIENT)
    await claiming.loop.passes.next()
    # In a queue this loop does not serve, so that it cannot be quicker.
    (job_id,) = await bench.enqueue(Job("work", queue_name="other"))
    late = claim(bench.keyspace, "o1", [ClaimRequest("other", "python", 1)], {"python": 1})
    assert len((await bench.run(late)).jobs) == 1
    clock.ahead_s = 60
    claiming.loop.wake("default")
    await claiming.loop.passes.next()
    record = await bench.record(job_id)
    assert (record.status, record.claim_seq, record.crash_count) == (JobStatus.PENDING, 1, 0)
    await claiming.stop()


async def _string_in_the_set(bench: Bench, job_id: str) -> None:
    await bench.client.set(bench.keyspace.job("strange"), "x")
    await bench.client.zadd(bench.keyspace.active("o1"), {"strange": 1})


async def _string_under_an_attempt(bench: Bench, job_id: str) -> None:
    await bench.client.delete(bench.keyspace.job(job_id))
    await bench.client.set(bench.keyspace.job(job_id), "x")


async def _word_as_token(bench: Bench, job_id: str) -> None:
    await bench.client.hset(bench.keyspace.job(job_id), "claim_seq", "x")


async def _bytes_as_queue(bench: Bench, job_id: str) -> None:
    fields: Any = {"status": "ACTIVE", "worker_id": "o1", "claim_seq": "1", "queue_name": b"\xff\xfe"}
    await bench.client.hset(bench.keyspace.job("strange"), mapping=fields)
    await bench.client.zadd(bench.keyspace.active("o1"), {"strange": 1})


@pytest.mark.parametrize(
    "spoil", [_string_in_the_set, _string_under_an_attempt, _word_as_token, _bytes_as_queue]
)
async def test_a_strange_key_among_ours_holds_up_no_claim(
    bench: Bench, spoil: Callable[[Bench, str], Awaitable[None]]
) -> None:
    """Whatever the review of what we hold meets, the next job starts (F40, F83)."""
    await bench.register()
    bench.clock = clock = Leaping()
    claiming = Claiming(bench, PATIENT)
    (held,) = await bench.enqueue(Job("work"))
    await bench.runner.requests(1)
    await spoil(bench, held)
    clock.ahead_s = 60
    (following,) = await bench.enqueue(Job("work"))
    assert {each.job_id for each in await bench.runner.requests(2)} == {held, following}
    await claiming.stop()


async def test_an_active_set_that_is_none_holds_up_no_claim_of_a_full_orchestrator(bench: Bench) -> None:
    """The review meets it before a claim can: the next claim says "fenced", which leads to a new id (F40)."""
    await bench.register()
    bench.clock = clock = Leaping()
    bench.runner.capacity = 1
    claiming = Claiming(bench, PATIENT)
    await bench.enqueue(Job("work"), Job("work"))
    (first,) = await bench.runner.requests(1)
    await bench.client.delete(bench.keyspace.active("o1"))
    await bench.client.set(bench.keyspace.active("o1"), "x")
    clock.ahead_s = 60
    await claiming.loop.passes.next()
    bench.runner.answer(succeeded(first))
    async with asyncio.timeout(WITHIN_S):
        while not claiming.member.told:
            await claiming.loop.passes.next()
    await bench.settler.flushed()
    assert (await bench.record(first.job_id)).status is JobStatus.COMPLETED
    await claiming.stop()
