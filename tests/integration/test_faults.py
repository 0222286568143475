"""Processes that die, stop and are told to stop, with work in flight: nothing is lost, and nothing is charged
to a job that is not its own fault (RELIABILITY.md 3.2).
"""

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rrq_producer import EnqueuedJob
from rrq_protocol import Job, JobStatus
from support.processes import Command, wait_until_gone
from support.redis_servers import two_free_ports
from support.road import Road, Sighting
from support.waiting import eventually

LEASE: dict[str, Any] = {"lease_seconds": 1.5, "lease_beat_seconds": 0.3}
# A whole lease unseen, found at the next look (one a second, with jitter), and then some for a busy machine.
RECOVERED_WITHIN_S = LEASE["lease_seconds"] + 2 * 1.1 + 4
TRANSPORTS = ("unix", "tcp", "stdio")
SMALL = {"python": {"app": "handlers:settings", "pool_size": 1, "max_in_flight": 2}}


def _over(transport: str) -> dict[str, dict[str, Any]]:
    """Return the usual runner over a transport; on TCP at fixed ports."""
    ways: dict[str, dict[str, Any]] = {
        "unix": {},
        "tcp": {"tcp_port": two_free_ports()[0]},
        "stdio": {"type": "stdio"},
    }
    return {"python": {"app": "handlers:settings", "pool_size": 2, **ways[transport]}}


def _held(road: Road, count: int, gate: str = "gate") -> list[EnqueuedJob]:
    """Enqueue jobs that run until the gate is opened."""
    return road.producer.enqueue_many(Job("hold", {"gate": gate}) for _ in range(count))


def _program(pid: int) -> str:
    """Return the name of the program a process runs; empty if it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _sleeping(road: Road) -> list[int]:
    """Return the processes that a handler of ours started."""
    return [pid for pid in road.processes() if _program(pid) == "sleep"]


def _pids(seen: Sequence[Sighting]) -> list[int]:
    return sorted({each.pid for each in seen})


def _completed(road: Road, jobs: Sequence[EnqueuedJob]) -> bool:
    return all(each.status is JobStatus.COMPLETED for each in road.results(jobs))


def _charged(road: Road, jobs: Sequence[EnqueuedJob]) -> set[tuple[int, int]]:
    """Return what the jobs were charged: retries and crashes."""
    records = [road.record(job.id) for job in jobs]
    return {(record.current_retries, record.crash_count) for record in records}


def _urge(daemon: Command) -> None:
    """Ask for a stop once more. Signals in quick succession count as one, so this repeats itself."""

    def urged() -> bool:
        if daemon.process.poll() is None:
            daemon.kill(signal.SIGTERM)
        return any("stop fast" in line for line in daemon.lines)

    eventually(urged, "the second signal to be heard")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_runner_killed_at_work_loses_nothing(road: Road, transport: str) -> None:
    """Its jobs run again at once, each alone in a process, and none is charged, for any of them might have
    done it; those of the other process run on; the pool is complete again (F12, RELIABILITY.md 6.6).
    """
    road.configure(_over(transport))
    with road.running() as daemon:
        jobs = _held(road, 6)
        first = road.seen(6)
        victim, survivor = _pids(first)
        os.kill(victim, signal.SIGKILL)
        killed = {each.job_id for each in first if each.pid == victim}
        alone = road.seen(6 + len(killed))[6:]
        assert {each.job_id for each in alone} == killed
        assert len({each.pid for each in alone}) == len(killed)
        road.open()
        assert _completed(road, jobs)
        assert _charged(road, jobs) == {(0, 0)}
        assert not {each.pid for each in alone} & set(_pids(first))
        assert victim not in _pids(road.sightings("end"))
        assert survivor in _pids(road.sightings("end"))
        assert "SIGKILL" in daemon.wait_for("runner.ended")


def test_a_poison_job_is_the_only_one_to_suffer(road: Road) -> None:
    """It takes its process down with innocents beside it, once; then it runs alone, is charged each death,
    and is dead-lettered after the third. The innocents complete and are charged nothing (F14, G11).
    """
    road.configure({"python": {"app": "handlers:settings", "pool_size": 2, "max_in_flight": 8}})
    with road.running() as daemon:
        before = _held(road, 10)
        road.seen(10)
        poison = road.producer.enqueue("poison")
        after = road.producer.enqueue_many(Job("work") for _ in range(40))
        daemon.wait_for("job.suspected")
        road.open()
        assert _completed(road, [*before, *after])
        assert _charged(road, [*before, *after]) == {(0, 0)}
        assert road.result(poison.id).status is JobStatus.FAILED
        assert _charged(road, [poison]) == {(0, 3)}
        assert len(road.sightings("start", poison.id)) == 1 + 3
        deaths = daemon.told("job.crashed", 2) + daemon.told("job.dead_lettered")
        assert [each["job_id"] for each in deaths] == [poison.id] * 3
        assert all("with 1 in flight" in each["error"] for each in deaths)


def test_a_parent_gives_the_jobs_of_its_dead_orchestrator_back_at_once(road: Road) -> None:
    """Nobody waits for the lease: the parent fences its child and recovers its jobs, and the next one runs
    them: one crash charged, no retry (RELIABILITY.md 6.3 *Fast path*).
    """
    road.configure(SMALL, lease_seconds=600, lease_beat_seconds=1)
    with road.running("--supervise") as parent:
        jobs = _held(road, 2)
        first = road.seen(2)
        dead = parent.named("orchestrator.registered")[0]["orchestrator"]
        os.kill(int(dead.split("_")[-2]), signal.SIGKILL)
        again = road.seen(4)[2:]
        assert not set(_pids(first)) & set(_pids(again))
        road.open()
        assert _completed(road, jobs)
        assert _charged(road, jobs) == {(0, 1)}
        (given_back,) = parent.told("orchestrator.given_back")
        assert given_back["recovered"] == 2


def test_an_idle_runner_killed_is_replaced(road: Road) -> None:
    """A new one takes its place, no job is touched, and the next ones run (F11)."""
    with road.running() as daemon:
        first = road.producer.enqueue("hold", {"gate": "open already"})
        road.open("open already")
        (seen,) = road.seen(1)
        assert road.result(first.id).status is JobStatus.COMPLETED
        record = road.record(first.id)
        os.kill(seen.pid, signal.SIGKILL)
        daemon.wait_for("runner.ended")
        assert _completed(road, jobs := road.producer.enqueue_many(Job("work") for _ in range(20)))
        assert _charged(road, jobs) == {(0, 0)}
        assert len(daemon.told("runner.started", 3)) == 3
        assert road.record(first.id) == record


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_killed_orchestrator_takes_its_runners_along_and_its_jobs_are_recovered(
    road: Road, transport: str
) -> None:
    """Its runner processes end with it. A second orchestrator, started at once, comes up on the same ports
    and takes the jobs over within the bound: one crash charged, no retry. What the first left in the file
    system is swept (F3, F21).
    """
    road.configure(_over(transport), **LEASE)
    with road.start() as first:
        road.ready(first)
        jobs = _held(road, 5)
        runners = _pids(road.seen(5))
        waiting = road.producer.enqueue_many(
            Job("work", queue_name="default", defer_by=0.5) for _ in range(3)
        )
        first.kill(signal.SIGKILL)
        assert first.code() == -signal.SIGKILL
    with road.running() as second:
        wait_until_gone(runners)
        started_at = time.monotonic()
        road.seen(10)
        assert time.monotonic() - started_at < RECOVERED_WITHIN_S
        second.wait_for("orchestrator.fenced")
        road.open()
        assert _completed(road, [*jobs, *waiting])
    assert _charged(road, jobs) == {(0, 1)}
    assert _charged(road, waiting) == {(0, 0)}


def test_what_handlers_started_goes_with_a_killed_orchestrator(road: Road) -> None:
    """Children, processes in sessions of their own and orphans: none is left after two seconds (F21, F22)."""
    with road.start() as daemon:
        road.ready(daemon)
        road.producer.enqueue("parental")
        road.seen(1)
        # The orphan may not have become its program yet.
        eventually(lambda: len(_sleeping(road)) == 3, "the three processes to run")
        daemon.kill(signal.SIGKILL)
        eventually(lambda: not road.processes(), "no process with the mark", within_s=2)
    with road.running():
        pass


def test_a_stop_lets_attempts_finish_and_takes_no_new_ones(road: Road) -> None:
    """SIGTERM: running jobs complete, waiting ones stay, exit code 0; the next orchestrator goes on (F19)."""
    road.configure(SMALL, worker_shutdown_grace_period_seconds=30)
    with road.running() as daemon:
        jobs = _held(road, 5)
        running = {each.job_id for each in road.seen(2)}
        daemon.kill(signal.SIGTERM)
        daemon.wait_for("orchestrator.stopping")
        road.open()
        assert daemon.code() == 0
    assert {job.id for job in jobs if road.record(job.id).status is JobStatus.COMPLETED} == running
    assert {road.record(job.id).status for job in jobs if job.id not in running} == {JobStatus.PENDING}
    with road.start("--burst") as daemon:
        assert daemon.code() == 0
    assert _completed(road, jobs)
    assert _charged(road, jobs) == {(0, 0)}
    assert len(road.sightings()) == 5


def test_a_stop_gives_unfinished_attempts_back(road: Road) -> None:
    """After the grace the handlers are cancelled, the jobs wait again, and nothing is charged; not even a
    process that a handler started is left. The next orchestrator starts them at once (F19, F22).
    """
    road.configure(worker_shutdown_grace_period_seconds=0.2)
    with road.running():
        jobs = _held(road, 4)
        odd = [road.producer.enqueue(name) for name in ("stubborn", "blocking", "parental")]
        road.seen(7)
    assert {road.record(job.id).status for job in [*jobs, *odd]} == {JobStatus.PENDING}
    assert _charged(road, [*jobs, *odd]) == {(0, 0)}
    assert road.sightings("end") == []
    assert not road.processes()
    for job in odd:
        road.producer.cancel(job.id)
    road.open()
    with road.start("--burst") as daemon:
        assert daemon.code() == 0
    assert _completed(road, jobs)


def test_a_second_signal_does_not_wait(road: Road) -> None:
    """The jobs are given back uncharged all the same, and nothing is left (F20)."""
    road.configure(worker_shutdown_grace_period_seconds=3600)
    with road.running() as daemon:
        jobs = _held(road, 3)
        road.seen(3)
        daemon.kill(signal.SIGTERM)
        daemon.wait_for("orchestrator.stopping")
        _urge(daemon)
        asked_at = time.monotonic()
        assert daemon.code() == 0
        assert time.monotonic() - asked_at < 10
    assert {road.record(job.id).status for job in jobs} == {JobStatus.PENDING}
    assert _charged(road, jobs) == {(0, 0)}


def test_an_orchestrator_back_from_the_dead_changes_nothing(road: Road) -> None:
    """Stopped for longer than its lease while its runners go on: another one takes over and completes the
    jobs. Continued, the first one's outcomes are stale: no field of the jobs changes (F5).
    """
    road.configure(SMALL, **LEASE)
    with road.running() as first:
        jobs = _held(road, 2)
        owner = {road.record(job.id).worker_id for job in jobs if road.seen(2)}
        with road.running() as second:
            first.kill(signal.SIGSTOP)
            road.seen(4)
            second.wait_for("orchestrator.fenced")
            road.open()
            # All four executions end, those of the stopped orchestrator's runner too.
            road.seen(4, what="end")
            assert _completed(road, jobs)
            records = {job.id: road.client.hgetall(road.keyspace.job(job.id)) for job in jobs}
            dead = road.dead()
            first.kill(signal.SIGCONT)
            first.wait_for("settle.stale")
            first.wait_for("orchestrator.was_fenced")
            eventually(lambda: str(first.lines).count("settle.stale") == 2, "both outcomes to be stale")
            # Nothing is given back that is another's, nor does the log say so.
            assert not first.named("job.released")
            assert {job.id: road.client.hgetall(road.keyspace.job(job.id)) for job in jobs} == records
            assert road.dead() == dead == []
            assert {road.record(job.id).worker_id for job in jobs}.isdisjoint(owner)
            # It works on under another id.
            assert _completed(road, road.producer.enqueue_many(Job("work") for _ in range(40)))
    assert _charged(road, jobs) == {(0, 1)}


def test_a_short_pause_costs_nothing(road: Road) -> None:
    """An orchestrator stopped for less than its lease keeps its jobs; each is executed once (F6)."""
    road.configure(SMALL, **LEASE)
    with road.running() as first:
        jobs = _held(road, 2)
        road.seen(2)
        with road.running() as second:
            first.kill(signal.SIGSTOP)
            road.beats(second.named("orchestrator.registered")[0]["orchestrator"], 2)
            first.kill(signal.SIGCONT)
            road.open()
            assert _completed(road, jobs)
    assert len(road.sightings()) == 2
    assert _charged(road, jobs) == {(0, 0)}


def test_two_orchestrators_share_the_work_without_duplicates(road: Road) -> None:
    """2,000 jobs, each executed once, by both; each completes."""
    with road.running(), road.running():
        jobs = road.producer.enqueue_many(Job("work", {"number": number}) for number in range(2000))
        assert [each.result for each in road.results(jobs)] == [2 * number for number in range(2000)]
    ran = road.sightings()
    assert sorted(each.job_id for each in ran) == sorted(job.id for job in jobs)
    assert len(_pids(ran)) == 4
    assert _charged(road, jobs) == {(0, 0)}


def test_hangups_under_load_cost_nothing(road: Road) -> None:
    """New processes take over from the old ones while jobs stream through, again and again: none fails, none
    is charged, none runs twice, and long ones end where they began (F81).
    """
    road.configure({"python": {"app": "handlers:settings", "pool_size": 2}})
    with road.running() as daemon:
        held = _held(road, 2)
        road.seen(2)
        jobs: list[EnqueuedJob] = []
        for hangups in range(1, 4):
            daemon.kill(signal.SIGHUP)

            def replaced(started: int = 2 + 2 * hangups) -> bool:
                jobs.extend(road.producer.enqueue_many(Job("work", {"number": 1}) for _ in range(10)))
                return len(daemon.named("runner.started")) >= started

            eventually(replaced, f"the processes to be replaced {hangups} times")
        road.open()
        assert _completed(road, [*held, *jobs])
        assert _charged(road, [*held, *jobs]) == {(0, 0)}
        assert len(road.sightings()) == len(jobs) + 2
        assert len(_pids(road.sightings())) >= 3
        assert {each.pid for each in road.sightings("end")} == {
            each.pid for each in road.sightings("start", *(job.id for job in held))
        }
        eventually(lambda: len(daemon.named("runner.replaced")) >= 6, "the old processes to end")
    road.assert_nothing_left()


def test_a_handler_that_freezes_its_process_is_the_only_one_to_pay(road: Road) -> None:
    """The process is told of while it stands still; its neighbours run again and complete, uncharged, though
    their own deadlines passed; the culprit, alone at last, meets its deadline (F74).
    """
    road.configure({"python": {"app": "handlers:settings", "pool_size": 1}}, runner_unresponsive_seconds=0.3)
    with road.running() as daemon:
        culprit = road.producer.enqueue("frozen", job_timeout_seconds=4)
        jobs = [
            road.producer.enqueue("hold", {"gate": "gate"}, job_timeout_seconds=seconds)
            for seconds in (3, 30)
        ]
        road.seen(1, culprit.id)
        told = eventually(lambda: daemon.named("runner.unresponsive"), "the silence to be told")
        assert (told[0]["runner"], told[0]["slot"]) == ("python", 0)
        assert told[0]["in_flight"] == 3
        road.open()
        assert _completed(road, jobs)
        assert _charged(road, jobs) == {(0, 0)}
        assert road.result(culprit.id).status is JobStatus.FAILED
        assert road.record(culprit.id).last_error == "timed out after 4 s"
        assert len(road.sightings("start", culprit.id)) == 2
    road.assert_nothing_left()
