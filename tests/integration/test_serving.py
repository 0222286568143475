"""What the main road looks like under other settings: burst, weights, strict order, several runners."""

import json
import signal
from typing import Any

import pytest

from rrq_protocol import Job, JobStatus
from support.road import Road
from support.waiting import eventually

ONE_AT_A_TIME = {"python": {"app": "handlers:settings", "pool_size": 1, "max_in_flight": 1}}


def _enqueue(road: Road, queue: str, count: int) -> list[str]:
    jobs = road.producer.enqueue_many(Job("work", queue_name=queue) for _ in range(count))
    return [job.id for job in jobs]


def test_a_burst_works_off_what_is_ready_and_ends(road: Road) -> None:
    """Retries included; what is deferred stays. The exit code is 0, and nobody is registered any more."""
    ready = _enqueue(road, "default", 30)
    flaky = road.producer.enqueue("flaky", {"succeeds_on": 2})
    later = road.producer.enqueue("work", defer_by=3600)
    with road.start("--burst") as daemon:
        assert daemon.code() == 0, daemon.lines
    assert {road.record(job_id).status for job_id in ready} == {JobStatus.COMPLETED}
    assert road.record(later.id).status is JobStatus.PENDING
    # Its retry may have been due after the burst's end, or not.
    assert road.record(flaky.id).status in (JobStatus.COMPLETED, JobStatus.RETRYING)
    assert not road.client.exists(road.keyspace.workers)


def test_strict_order_serves_the_first_queue_first(road: Road) -> None:
    """No job of the lower queue starts while the higher one has any."""
    road.configure(ONE_AT_A_TIME, worker={"strict": True, "queues": {"low": 1, "high": 2}})
    low, high = _enqueue(road, "low", 6), _enqueue(road, "high", 6)
    with road.start("--burst") as daemon:
        assert daemon.code() == 0, daemon.lines
    assert [each.queue for each in road.sightings()] == ["high"] * 6 + ["low"] * 6
    assert {each.job_id for each in road.sightings()} == {*low, *high}


def test_weights_share_the_slots(road: Road) -> None:
    """At 3 to 1, three of four jobs come from the heavier queue while both have some; none starves."""
    road.configure(ONE_AT_A_TIME)
    _enqueue(road, "light", 12)
    _enqueue(road, "heavy", 12)
    with road.start("--burst", "--queue", "heavy=3", "--queue", "light=1") as daemon:
        assert daemon.code() == 0, daemon.lines
    first = [each.queue for each in road.sightings()][:12]
    assert first.count("heavy") in (8, 9, 10)
    assert len(road.sightings()) == 24


def test_only_the_queues_asked_for_are_served(road: Road) -> None:
    """Jobs of other queues stay where they are."""
    mine, others = _enqueue(road, "mine", 3), _enqueue(road, "others", 3)
    with road.start("--burst", "--queue", "mine") as daemon:
        assert daemon.code() == 0, daemon.lines
    assert {road.record(job_id).status for job_id in mine} == {JobStatus.COMPLETED}
    assert {road.record(job_id).status for job_id in others} == {JobStatus.PENDING}


def test_a_full_runner_holds_up_no_other(road: Road) -> None:
    """A backlog of jobs that wait on one runner; jobs of the other, behind them in the same queue, run."""
    one = {"app": "handlers:settings", "pool_size": 1, "max_in_flight": 2}
    road.configure({"python": one, "second": one})
    held = road.producer.enqueue_many(Job("python#hold", {"gate": "gate"}) for _ in range(20))
    with road.running():
        free = road.producer.enqueue("second#plain", {"word": "through"})
        assert road.result(free.id).result["runner"] == "second"
        assert len(road.sightings("start", *(job.id for job in held))) <= 2
        road.open()
        assert {each.status for each in road.results(held)} == {JobStatus.COMPLETED}


@pytest.mark.parametrize("command", ["rrq_cli", "rrq_orchestrator"])
def test_both_commands_run_the_same_orchestrator(road: Road, command: str) -> None:
    """`rrq worker run` and `rrq-orchestrator` take the same options."""
    job = road.producer.enqueue("work", {"number": 4})
    arguments = ("worker", "run") if command == "rrq_cli" else ()
    ended = road.command(command, *arguments, "--config", "rrq.toml", "--burst")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert road.result(job.id).result == 8


@pytest.mark.parametrize("how", ["no such command", "no such module"])
def test_the_health_report_tells_of_a_runner_that_does_not_start(road: Road, how: str) -> None:
    """Its state, no capacity, and the reason in words; no job is claimed for it (F16)."""
    broken = {"cmd": ["no-such-program"]} if how == "no such command" else {"app": "nowhere:registry"}
    road.configure({"python": {**broken, "pool_size": 1}})
    job = road.producer.enqueue("work")
    with road.start() as daemon:
        daemon.wait_for('"after": "broken"')
        owner = daemon.named("orchestrator.registered")[0]["orchestrator"]

        def reported() -> dict[str, Any]:
            report = json.loads(road.client.get(road.keyspace.health(owner)) or "{}")
            facts: dict[str, Any] = report["runners"]["python"]
            return facts if facts["state"] == "broken" else {}

        facts = eventually(reported, "the report to say that the runner is broken")
        reason = "no-such-program" if how == "no such command" else "nowhere"
        assert (facts["capacity"], facts["pids"], facts["restarts"]) == (0, [], 0)
        assert reason in facts["last_error"]
        assert facts["last_error_at"]
        assert road.record(job.id).status is JobStatus.PENDING
        road.stop(daemon)
    road.producer.cancel(job.id)


def test_a_replacement_that_does_not_start_is_told_while_the_old_one_works(road: Road) -> None:
    """New code with a mistake in it, and SIGHUP: the old process goes on, the health record and `rrq check`
    say so and why; once the mistake is mended, the new one takes over by itself (F16, F81).
    """
    road.configure({"python": {"app": "handlers:settings", "pool_size": 1}})
    with road.running() as daemon:
        owner = daemon.named("orchestrator.registered")[0]["orchestrator"]

        def stale() -> int:
            report = json.loads(road.client.get(road.keyspace.health(owner)) or "{}")
            return int(report["runners"]["python"]["stale"])

        old = road.seen(1, road.producer.enqueue("work").id)[0].pid
        (road.folder / "handlers.py").write_text("import a_module_nobody_has\n")
        daemon.kill(signal.SIGHUP)
        eventually(stale, "the report to tell of the process that works on")
        check = road.command("rrq_cli", "check", "--json")
        said = json.loads(check.stdout)["findings"]
        assert check.returncode == 0
        assert ["a_module_nobody_has" in each for each in said] == [True], said
        assert road.seen(1, road.producer.enqueue("work").id)[0].pid == old
        road.install_handlers()
        eventually(lambda: stale() == 0, "the new process to take over")
        assert road.seen(1, road.producer.enqueue("work").id)[0].pid != old


def test_settings_that_do_nothing_are_named_at_the_start(road: Road) -> None:
    """Once, all of them, as a warning; those at their defaults are not."""
    road.configure(expected_job_ttl=31, http={"address": "127.0.0.1:0"})
    with road.start("--burst") as daemon:
        assert daemon.code() == 0
    (told,) = daemon.named("settings.without_effect")
    assert (told["level"], told["keys"]) == ("warning", ["expected_job_ttl"])
