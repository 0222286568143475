"""Orchestrators that are told to stop while handlers hear nothing of it (RELIABILITY.md F19, G19)."""

import signal

from rrq_protocol import JobStatus
from support.road import Road


def test_a_stop_waits_for_nobody_who_hears_no_cancel(road: Road) -> None:
    """A plain function that blocks, a handler that swallows its cancellation and one that blocks its whole
    process hold up no stop: right after the grace their processes are killed, whatever time an attempt has to
    answer and a process to end, and their jobs are given back uncharged, for others to start at once.
    """
    road.configure(
        worker_shutdown_grace_period_seconds=0.2,
        runner_cancel_grace_seconds=3600,
        runner_shutdown_term_grace_seconds=3600,
    )
    with road.running() as daemon:
        jobs = [road.producer.enqueue(name) for name in ("blocking", "stubborn")]
        road.seen(2)
        frozen = road.producer.enqueue("frozen")
        road.seen(3)
        daemon.kill(signal.SIGTERM)
        assert daemon.code() == 0
    assert not road.processes()
    for record in (road.record(job.id) for job in [*jobs, frozen]):
        assert (record.status, record.current_retries, record.crash_count) == (JobStatus.PENDING, 0, 0)
    road.producer.cancel(frozen.id)
    with road.running():
        road.seen(5)
