"""An orchestrator with its handlers inside: one process, the same road."""

import signal

from rrq_protocol import Job, JobStatus
from support.road import Road
from support.waiting import eventually

SETTINGS = ("--settings", "handlers:settings")


def test_jobs_are_worked_off_by_one_process(road: Road) -> None:
    """Successes, retries, plain functions, timeouts and mistakes end as with processes of their own; no other
    process is started.
    """
    road.configure({"python": {"app": "handlers:settings", "env": {}}})
    with road.start(*SETTINGS) as daemon:
        daemon.wait_for('"ready"')
        good = road.producer.enqueue_many(
            [Job("work", {"number": 2}), Job("plain", {"word": "x"}), Job("flaky", {"succeeds_on": 3})]
        )
        late = road.producer.enqueue("endless", job_timeout_seconds=0.2)
        unknown = road.producer.enqueue("nobody")
        assert [each.status for each in road.results(good)] == [JobStatus.COMPLETED] * 3
        assert road.result(good[0].id).result == 4
        assert road.record(good[2].id).current_retries == 2
        assert road.result(late.id).last_error == "timed out after 0.2 s"
        assert road.result(unknown.id).status is JobStatus.FAILED
        assert road.processes() == [daemon.process.pid]
        assert {each.pid for each in road.sightings()} == {daemon.process.pid}
        road.stop(daemon)
    road.assert_nothing_left()


def test_a_stop_gives_running_jobs_back(road: Road) -> None:
    """After the grace they are cancelled, uncounted, and the process ends in order; so does a job."""
    road.configure({"python": {"app": "handlers:settings"}}, worker_shutdown_grace_period_seconds=0.2)
    with road.start(*SETTINGS) as daemon:
        daemon.wait_for('"ready"')
        held = road.producer.enqueue("endless")
        cancelled = road.producer.enqueue("endless")
        road.seen(2)
        road.producer.cancel(cancelled.id)
        assert road.result(cancelled.id).status is JobStatus.CANCELLED
        daemon.kill(signal.SIGTERM)
        assert daemon.code() == 0, daemon.lines
    record = road.record(held.id)
    assert (record.status, record.current_retries, record.crash_count) == (JobStatus.PENDING, 0, 0)
    road.assert_nothing_left()


def test_a_handler_that_does_not_end_does_not_hold_the_process(road: Road) -> None:
    """Its job ends at its deadline; the stop says with its exit code that something had to be abandoned."""
    road.configure({"python": {"app": "handlers:settings"}}, runner_cancel_grace_seconds=0.1)
    with road.start(*SETTINGS) as daemon:
        daemon.wait_for('"ready"')
        stubborn = road.producer.enqueue("stubborn", job_timeout_seconds=0.2)
        assert road.result(stubborn.id).last_error == "timed out after 0.2 s"
        eventually(lambda: daemon.named("runner.slot_lost"), "the lost slot to be told")
        assert road.result(road.producer.enqueue("work", {"number": 1}).id).result == 2
        daemon.kill(signal.SIGTERM)
        assert daemon.code() == 3, daemon.lines
        assert daemon.named("orchestrator.tasks_left")[0]["count"] == 1
    road.assert_nothing_left()


def test_mistakes_are_told_at_the_start(road: Road) -> None:
    """A reference that leads nowhere is a matter of configuration."""
    done = road.command("rrq_orchestrator", "--config", "rrq.toml", "--settings", "nowhere:settings")
    assert done.returncode == 78
    assert "no module named 'nowhere'" in done.stderr
    assert "Traceback" not in done.stderr
