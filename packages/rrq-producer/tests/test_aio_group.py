"""Group commit: which calls travel together, and what each of them gets."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rrq_producer import (
    AsyncProducer,
    DuplicateJob,
    EnqueuedJob,
    InvalidJob,
    Job,
    WrongKeyType,
)
from rrq_producer.aio_group import GROUP_JOBS
from rrq_protocol import Keyspace
from support.enqueuing import (
    begin,
    created,
    held,
    queued,
    settled,
)
from support.proxy import Proxy

pytestmark = pytest.mark.anyio


async def test_calls_awaited_together_travel_together(
    redis_url: str, redis_client: Any, keyspace: Keyspace, commands: Callable[[], int]
) -> None:
    """A thousand gathered calls need a handful of commands; each call gets its own job, and the jobs are
    due in the order of the calls, but for the first, which went ahead."""
    async with AsyncProducer(redis_url, key_prefix=keyspace.prefix) as producer:
        for _ in range(2):
            await producer.enqueue("f", queue_name="warm")
            before = commands()
            jobs = await asyncio.gather(*(producer.enqueue("f", {"n": n}) for n in range(1000)))
            assert commands() - before == 1 + -(-999 // GROUP_JOBS)
            assert all(job.created for job in jobs)
            members = queued(redis_client, keyspace)
            members.remove(jobs[0].id)
            assert members == [job.id for job in jobs[1:]]
            for n in (0, 1, 255, 256, 257, 999):
                assert redis_client.hget(keyspace.job(jobs[n].id), "job_params") == b'{"n":%d}' % n
            redis_client.delete(keyspace.queue("default"))


async def test_what_is_called_while_a_connection_opens_goes_along(
    redis_url: str, keyspace: Keyspace, commands: Callable[[], int]
) -> None:
    """Nothing can go out before there is a connection, so what was called until then is one group."""
    async with AsyncProducer(redis_url, key_prefix=keyspace.prefix) as producer:
        await producer.enqueue("f")
    async with AsyncProducer(redis_url, key_prefix=keyspace.prefix) as producer:
        before = commands()
        assert all(job.created for job in await asyncio.gather(*(producer.enqueue("f") for _ in range(100))))
        assert commands() - before == 1


async def test_a_call_on_its_own_goes_out_at_once(
    aio: AsyncProducer, proxy: Proxy, commands: Callable[[], int]
) -> None:
    """With nothing under way, a call is sent before it first yields to the loop, and is a command of its
    own."""
    before = commands()
    proxy.cut_replies(1)
    call = begin(aio)
    await asyncio.sleep(0)
    proxy.wait_for_cut()  # in the loop's thread: nothing else can happen in the loop meanwhile
    assert commands() - before == 1
    assert (await call).created


async def test_what_was_called_meanwhile_goes_out_next(
    aio: AsyncProducer, proxy: Proxy, redis_client: Any, commands: Callable[[], int]
) -> None:
    """Calls that begin while another is under way, in whatever turn of the loop, share the next command."""
    calls = []
    async with held(aio, proxy, redis_client):
        before = commands()
        for n in range(10):
            calls.append(begin(aio, f"id-{n}"))
            await asyncio.sleep(0)
    assert await settled(*calls) == created(*(f"id-{n}" for n in range(10)))
    assert commands() - before == 1


async def test_large_jobs_end_a_group(
    redis_url: str, redis_client: Any, keyspace: Keyspace, commands: Callable[[], int]
) -> None:
    """A group takes in no more once it has reached a mebibyte, whatever part of a job is the large one."""
    async with AsyncProducer(redis_url, key_prefix=keyspace.prefix) as producer:
        await producer.enqueue("f", queue_name="warm")
        before = commands()
        large: dict[str, Any] = {"params": {"x": "y" * 400_000}}
        await asyncio.gather(*(producer.enqueue("f", **large) for _ in range(7)))
        assert commands() - before == 3  # 1, 3, 3
        before = commands()
        large = {name: {"x": "y" * 60_000} for name in ("trace_context", "correlation_context")}
        await asyncio.gather(*(producer.enqueue("f", **large) for _ in range(19)))
        assert commands() - before == 3  # 1, 9, 9
    assert redis_client.zcard(keyspace.queue("default")) == 26


async def test_each_gets_its_own_answer(
    redis_url: str, redis_client: Any, keyspace: Keyspace, commands: Callable[[], int]
) -> None:
    """Successes and failures of all kinds in one group: nobody gets, or suffers from, the outcome of another;
    what is wrong with a job is found before anything is sent."""
    redis_client.set(keyspace.queue("mine"), "not a queue")
    async with AsyncProducer(redis_url, key_prefix=keyspace.prefix) as producer:
        await producer.enqueue("f", {"a": 1}, job_id="old", unique_key="k")
        before = commands()
        outcomes = await asyncio.gather(
            producer.enqueue("f", queue_name="warm"),
            producer.enqueue("f", {"a": 1}, job_id="old"),
            producer.enqueue("f", {"a": 1}, job_id="old", on_conflict="raise"),
            producer.enqueue("f", {"a": 2}, job_id="old"),
            producer.enqueue("f", job_id="new", on_conflict="raise"),
            producer.enqueue("f", job_id="new"),
            producer.enqueue("f", unique_key="k"),
            producer.enqueue("f", unique_key="k", on_conflict="raise"),
            producer.enqueue("f", queue_name="mine"),
            producer.enqueue("f", max_retries=0),
            producer.enqueue("f", {"x": {1, object()}}),
            producer.enqueue_with_rate_limit("f", rate_limit_key="r", rate_limit_seconds=60, job_id="one"),
            producer.enqueue_with_rate_limit("f", rate_limit_key="r", rate_limit_seconds=60),
            producer.enqueue_with_debounce(
                "f", {"n": 1}, debounce_key="d", debounce_seconds=60, job_id="late"
            ),
            producer.enqueue_with_debounce("f", {"n": 2}, debounce_key="d", debounce_seconds=60),
            producer.enqueue("f", job_id="last"),
            return_exceptions=True,
        )
    assert commands() - before == 2  # the first on its own, all others together
    expected: list[Any] = [
        EnqueuedJob("old", False), "id_exists", "id_taken", EnqueuedJob("new", True),
        EnqueuedJob("new", False), EnqueuedJob("old", False), "unique_key", WrongKeyType, InvalidJob,
        InvalidJob, EnqueuedJob("one", True), None, EnqueuedJob("late", True), EnqueuedJob("late", False),
        EnqueuedJob("last", True),
    ]  # fmt: skip
    for outcome, wanted in zip(outcomes[1:], expected, strict=True):
        if isinstance(wanted, str):
            assert isinstance(outcome, DuplicateJob)
            assert outcome.reason == wanted
        else:
            assert outcome == wanted or type(outcome) is wanted
    assert redis_client.hget(keyspace.job("late"), "job_params") == b'{"n":2}'
    assert redis_client.get(keyspace.queue("mine")) == b"not a queue"


async def test_one_call_at_a_time_is_one_command_each(
    aio: AsyncProducer, commands: Callable[[], int]
) -> None:
    """Calls awaited one after the other, and the calls of ``enqueue_many``, are as they were."""
    before = commands()
    for _ in range(5):
        await aio.enqueue("f")
    await aio.enqueue_many([Job("f") for _ in range(600)])
    assert commands() - before == 7
