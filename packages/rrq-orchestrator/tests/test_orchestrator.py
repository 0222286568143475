"""The orchestrator as a whole, with runners of the test's own: start, work, outage, stop."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from rrq_orchestrator import InProcessRunner, Orchestrator, RedisRefused
from rrq_orchestrator.http.readiness import unready_reasons
from rrq_orchestrator.runners.base import Runner, RunnerListener
from rrq_protocol import (
    ExecutionOutcome,
    ExecutionRequest,
    Job,
    JobStatus,
    Keyspace,
    RunnerConfig,
    Secret,
    Settings,
    SettingsError,
    WireOutcome,
    WireRequest,
)
from rrq_protocol.settings import CronJob, HttpConfig
from rrq_protocol.transitions import DrainReply, drain
from support.orchestrating import LOG, WITHIN_S, Bench, StandInRunner, failed, succeeded, until
from support.redis_servers import RedisServer

pytestmark = pytest.mark.anyio


class Whole:
    """An orchestrator with one stand-in runner."""

    def __init__(self, url: str, keyspace: Keyspace, **settings: Any) -> None:
        self.runner: StandInRunner

        def runners(listener: RunnerListener) -> Mapping[str, Runner]:
            self.runner = StandInRunner(listener)
            return {"python": self.runner}

        chosen: dict[str, Any] = {
            "base_retry_delay_seconds": 0.01,
            "worker_shutdown_grace_period_seconds": 0.2,
            **settings,
        }
        self.orchestrator = Orchestrator(
            Settings(key_prefix=keyspace.prefix, **chosen), url=url, runners=runners, log=LOG
        )
        self.task = asyncio.create_task(self.orchestrator.run())

    async def stop(self) -> int:
        self.orchestrator.request_stop()
        return await self.task


async def test_success_failure_and_retry_end_where_they_belong(bench: Bench) -> None:
    """One job completes, one fails twice and succeeds, one fails to the end."""
    whole = Whole(bench.url, bench.keyspace)
    ids = await bench.enqueue(Job("good"), Job("flaky", max_retries=3), Job("bad", max_retries=2))
    whole.runner.auto = lambda request: (
        failed(request)
        if request.function_name == "bad"
        or (request.function_name == "flaky" and request.context.attempt < 3)
        else succeeded(request, b'"done"')
    )
    statuses: dict[str, JobStatus] = {}
    while len(statuses) < 3 or not all(status.is_terminal for status in statuses.values()):
        statuses = {job_id: (await bench.record(job_id)).status for job_id in ids}
    whole.orchestrator.request_stop()
    assert await whole.task == 0
    assert list(statuses.values()) == [JobStatus.COMPLETED, JobStatus.COMPLETED, JobStatus.FAILED]
    assert await bench.client.lrange(bench.keyspace.dlq("default"), 0, -1) == [ids[2].encode()]


async def test_a_clean_stop_leaves_no_trace(bench: Bench) -> None:
    """No row, no report, no active set, only that there was one; exit code 0; runners ended."""
    whole = Whole(bench.url, bench.keyspace)
    await whole.orchestrator.heartbeat.registered()
    assert await whole.stop() == 0
    assert whole.runner.stops >= 1
    assert await bench.client.keys(f"{bench.keyspace.prefix}:*") == [bench.keyspace.epoch.encode()]


async def test_attempts_that_finish_within_the_grace_are_waited_for(bench: Bench) -> None:
    """Stop, then the answer, then the end."""
    whole = Whole(bench.url, bench.keyspace, worker_shutdown_grace_period_seconds=60)
    (job_id,) = await bench.enqueue(Job("work"))
    (request,) = await whole.runner.requests(1)
    whole.orchestrator.request_stop()
    whole.runner.answer(succeeded(request))
    assert await whole.task == 0
    assert (await bench.record(job_id)).status is JobStatus.COMPLETED


async def test_a_drain_lets_attempts_finish_however_often_it_is_asked(bench: Bench) -> None:
    """Unlike a second signal, a second drain does not cut the running attempts off."""
    whole = Whole(bench.url, bench.keyspace, worker_shutdown_grace_period_seconds=3600)
    (job_id,) = await bench.enqueue(Job("work"))
    (request,) = await whole.runner.requests(1)
    for _ in range(2):
        call = drain(bench.keyspace, whole.orchestrator.heartbeat.orchestrator_id)
        assert await bench.run(call) is DrainReply.ASKED
        await whole.orchestrator.control.passes.next()
    whole.runner.answer(succeeded(request))
    assert await whole.task == 0
    assert (await bench.record(job_id)).status is JobStatus.COMPLETED


async def test_a_second_request_does_not_wait_and_gives_the_job_back(bench: Bench) -> None:
    """The job is pending again, and neither a retry nor a crash is counted."""
    whole = Whole(bench.url, bench.keyspace, worker_shutdown_grace_period_seconds=3600)
    (job_id,) = await bench.enqueue(Job("work"))
    await whole.runner.requests(1)
    whole.orchestrator.request_stop()
    whole.orchestrator.request_stop()
    assert await whole.task == 0
    record = await bench.record(job_id)
    assert (record.status, record.current_retries, record.crash_count) == (JobStatus.PENDING, 0, 0)


class Companion(StandInRunner):
    """A runner whose stop ends once all of them were told to stop."""

    def __init__(self, listener: RunnerListener, name: str, told: asyncio.Barrier) -> None:
        super().__init__(listener, name)
        self._told = told

    async def stop(self, *, patient: bool = True) -> None:
        if not self.stops:
            self.stops = 1
            async with asyncio.timeout(WITHIN_S / 5):
                await self._told.wait()


async def test_runners_are_stopped_at_the_same_time(bench: Bench) -> None:
    """One that takes its whole grace to end holds up no other (6.8, upstream U16)."""
    told = asyncio.Barrier(3)
    orchestrator = Orchestrator(
        Settings(key_prefix=bench.keyspace.prefix, worker_shutdown_grace_period_seconds=0.2),
        url=bench.url,
        runners=lambda listener: {name: Companion(listener, name, told) for name in ("a", "b", "c")},
        log=LOG,
    )
    running = asyncio.create_task(orchestrator.run())
    await orchestrator.heartbeat.registered()
    orchestrator.request_stop()
    assert await running == 0


async def test_it_waits_for_a_redis_that_is_not_there_yet(own_redis: RedisServer, keyspace: Keyspace) -> None:
    """And stops cleanly when asked to before it comes."""
    own_redis.stop()
    waiting, leaving = Whole(own_redis.url, keyspace), Whole(own_redis.url, keyspace)
    await asyncio.sleep(0)
    assert await leaving.stop() == 0
    own_redis.start()
    await waiting.orchestrator.heartbeat.registered()
    assert await waiting.stop() == 0


async def test_it_survives_a_restart_of_redis_with_work_in_flight(
    own_redis: RedisServer, bench: Bench
) -> None:
    """What finished during the outage is written afterwards, once; new jobs flow again."""
    there = Bench(own_redis.url, bench.keyspace, bench.client)
    whole = Whole(own_redis.url, bench.keyspace)
    (job_id,) = await there.enqueue(Job("work"))
    (request,) = await whole.runner.requests(1)
    own_redis.stop()
    whole.runner.answer(succeeded(request, b"1"))
    own_redis.start()
    await whole.orchestrator.settler.flushed()
    second = await there.link.until_done(lambda: there.enqueue(Job("again")))
    assert (await whole.runner.requests(1))[0].job_id == second[0]
    assert whole.orchestrator.settler.replies["ok"] == 1  # type: ignore[index]
    assert job_id == request.job_id
    await whole.stop()
    await there.aclose()


async def test_a_wrong_password_is_not_waited_out(own_redis: RedisServer, keyspace: Keyspace) -> None:
    """The caller gets an error to exit with; nothing was started."""
    import redis as client

    with client.Redis.from_url(own_redis.url) as admin:
        admin.config_set("requirepass", "secret")
    whole = Whole(own_redis.url, keyspace)
    with pytest.raises(RedisRefused):
        await whole.task


async def test_without_a_url_the_settings_say_where_redis_is(bench: Bench, tmp_path: Path) -> None:
    """An embedded server that is not running is named, with what to start."""
    settings = Settings(redis_dsn=Secret(bench.url), key_prefix=bench.keyspace.prefix)
    orchestrator = Orchestrator(settings, runners=lambda _: {}, burst=True, log=LOG)
    assert await orchestrator.run() == 0
    with pytest.raises(SettingsError, match="rrq dev"):
        Orchestrator(Settings(redis_dsn=Secret(f"embedded://{tmp_path}/none")), log=LOG)


async def test_a_defect_in_a_service_ends_the_process_with_1(bench: Bench) -> None:
    """In one that holds the lease, silence would be worse: the lease lapses and others take over."""
    whole = Whole(bench.url, bench.keyspace)
    await whole.orchestrator.heartbeat.registered()
    whole.orchestrator.heartbeat._tick = lambda: 1 / 0  # type: ignore[method-assign,assignment]
    assert await whole.task == 1
    assert whole.runner.stops >= 1


async def test_a_defect_that_others_would_meet_too_ends_nothing(bench: Bench) -> None:
    """What a stranger wrote would end one orchestrator after the other: the service is run again. It says so,
    what runs goes on, and once it gets through, all is well.
    """
    whole = Whole(bench.url, bench.keyspace)
    claims, view = whole.orchestrator.claims, whole.orchestrator.endpoint._view
    (job_id,) = await bench.enqueue(Job("work"))
    (request,) = await whole.runner.requests(1)
    ordinary, claims._requests = claims._requests, lambda room: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    claims.wake("default")
    await until(lambda: unready_reasons(view.facts()) != [])
    (reason,) = unready_reasons(view.facts())
    assert reason.startswith("service claim fails")
    whole.runner.answer(succeeded(request))
    await whole.orchestrator.settler.flushed()
    assert (await bench.record(job_id)).status is JobStatus.COMPLETED
    claims._requests = ordinary  # type: ignore[method-assign]
    await until(lambda: unready_reasons(view.facts()) == [])
    await bench.enqueue(Job("work"))
    await whole.runner.requests(1)
    assert await whole.stop() == 0


async def test_a_burst_ends_with_the_first_defect(bench: Bench) -> None:
    """It would never end otherwise."""
    whole = Orchestrator(
        Settings(key_prefix=bench.keyspace.prefix), url=bench.url, runners=lambda _: {}, burst=True, log=LOG
    )
    whole.claims._requests = lambda room: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    whole.claims._room = lambda: ({}, 1)  # type: ignore[method-assign]
    assert await whole.run() == 1


async def test_entries_of_the_settings_are_fired(bench: Bench) -> None:
    """From the start to the stop; a burst, which would never end, fires none."""
    entry = CronJob(function_name="work", schedule="* * * * * *", missed="all")
    settings = Settings(redis_dsn=Secret(bench.url), key_prefix=bench.keyspace.prefix, cron_jobs=(entry,))

    def runners(listener: RunnerListener) -> dict[str, Runner]:
        return {"python": StandInRunner(listener)}

    assert await Orchestrator(settings, runners=runners, burst=True, log=LOG).run() == 0
    assert await bench.client.exists(bench.keyspace.cron("work")) == 0
    whole = Whole(bench.url, bench.keyspace, cron_jobs=(entry,))
    (request,) = await whole.runner.requests(1)
    assert request.job_id.startswith("cron:work:")
    whole.runner.auto = succeeded
    whole.runner.answer(succeeded(request))
    assert await whole.stop() == 0


async def test_an_entry_for_a_queue_nobody_serves_is_told_and_measured(bench: Bench) -> None:
    """A warning with the entry, the queue and what to do; `/metrics` has a row for the queue it fills."""
    entry = CronJob(function_name="work", name="lost", schedule="@yearly", queue_name="monitoring")
    log: Any = structlog.testing.CapturingLogger()
    orchestrator = Orchestrator(
        Settings(
            key_prefix=bench.keyspace.prefix, cron_jobs=(entry,), http=HttpConfig(address="127.0.0.1:0")
        ),
        url=bench.url,
        runners=lambda listener: {"python": StandInRunner(listener)},
        log=structlog.wrap_logger(log, processors=[]),
    )
    task = asyncio.create_task(orchestrator.run())
    await orchestrator.heartbeat.registered()
    told = {call.kwargs["event"]: call.kwargs for call in log.calls}
    reader, writer = await asyncio.open_connection(*told["http.listening"]["address"].split(":"))
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b'rrq_queue_jobs{queue="monitoring",state="ready"} 0.0' in await reader.read()
    writer.close()
    await writer.wait_closed()
    orchestrator.request_stop()
    assert await task == 0
    told = {call.kwargs["event"]: call.kwargs for call in log.calls}
    assert (told["cron.unserved"]["entry"], told["cron.unserved"]["queue"]) == ("lost", "monitoring")


async def test_a_wrong_entry_keeps_none_of_the_others(bench: Bench) -> None:
    """It is told as an error, with its key path and name; the other one is fired (F55)."""
    entries = (
        CronJob(function_name="never", schedule="0 0 30 2 *"),
        CronJob(function_name="work", schedule="* * * * * *", missed="all"),
    )
    log: Any = structlog.testing.CapturingLogger()
    fired = asyncio.Event()
    runner: list[StandInRunner] = []

    def answer(request: WireRequest) -> WireOutcome:
        fired.set()
        return succeeded(request)

    def runners(listener: RunnerListener) -> dict[str, Runner]:
        runner.append(StandInRunner(listener))
        runner[0].auto = answer
        return {"python": runner[0]}

    orchestrator = Orchestrator(
        Settings(key_prefix=bench.keyspace.prefix, cron_jobs=entries),
        url=bench.url,
        runners=runners,
        log=structlog.wrap_logger(log, processors=[]),
    )
    task = asyncio.create_task(orchestrator.run())
    await fired.wait()
    orchestrator.request_stop()
    assert await task == 0
    (told,) = [call.kwargs for call in log.calls if call.kwargs["event"] == "cron.entry_refused"]
    assert told["problem"].startswith("rrq.cron_jobs[0].schedule: ")
    assert told["problem"].endswith("(in the entry never)")


async def test_a_burst_without_a_runner_that_works_ends_with_1(bench: Bench) -> None:
    """It would wait for ever; the jobs stay where they are."""
    (job_id,) = await bench.enqueue(Job("work"))
    settings = Settings(redis_dsn=Secret(bench.url), key_prefix=bench.keyspace.prefix)

    def broken(listener: RunnerListener) -> dict[str, Runner]:
        runner = StandInRunner(listener, capacity=0)
        runner.state = "broken"
        return {"python": runner}

    assert await Orchestrator(settings, runners=broken, burst=True, log=LOG).run() == 1
    assert (await bench.record(job_id)).status is JobStatus.PENDING


async def test_runners_may_be_given_by_name(bench: Bench) -> None:
    """One in this process takes the place of the configured one of its name; jobs are worked off by it."""

    async def execute(request: ExecutionRequest) -> ExecutionOutcome:
        return ExecutionOutcome.success(request.job_id, request.request_id, request.params)

    settings = Settings(
        key_prefix=bench.keyspace.prefix,
        runners={"python": RunnerConfig(cmd=("a-command-that-is-not-there",))},
    )
    (job_id,) = await bench.enqueue(Job("echo", {"x": 1}))
    runners = {"python": InProcessRunner(execute)}
    orchestrator = Orchestrator(settings, url=bench.url, runners=runners, burst=True, log=LOG)
    assert await orchestrator.run() == 0
    record = await bench.record(job_id)
    assert (record.status, record.result) == (JobStatus.COMPLETED, '{"x":1}')
