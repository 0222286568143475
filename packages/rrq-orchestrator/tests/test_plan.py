"""What each part gets of the settings."""

import pytest

from rrq_orchestrator.plan import (
    claim_plan,
    dispatch_limits,
    heartbeat_times,
    recovery_policy,
    routes,
)
from rrq_protocol import Job, RunnerConfig, Settings
from support.claiming import Claiming
from support.orchestrating import Bench


def test_routes() -> None:
    """The default runner and the queues' runners."""
    table = routes(Settings(default_runner_name="go", runner_routes={"media": "rust"}))
    assert (table.of_queue("x"), table.of_queue("media")) == ("go", "rust")


def test_claim_plan_writes_upstream_locks_only_when_asked() -> None:
    """compat_job_locks is off by default."""
    assert claim_plan(Settings(), burst=False).lock_extension_s is None
    assert claim_plan(Settings(compat_job_locks=True), burst=True).lock_extension_s == 90


def test_limits_times_and_recovery_follow_the_settings() -> None:
    """Names change between settings and parts; figures do not."""
    settings = Settings(
        default_job_timeout_seconds=7, lease_seconds=20, max_crashes=4, default_dlq_name="dead",
        runners={"python": RunnerConfig(app="a:b", response_timeout_seconds=3)},
    )  # fmt: skip
    limits = dispatch_limits(settings)
    assert (limits.default_timeout_s, limits.dlq_name) == (7, "dead")
    assert limits.response_timeout_s == {"python": 3}
    assert heartbeat_times(settings).lease_s == 20
    assert (recovery_policy(settings).max_crashes, recovery_policy(settings).dlq_name) == (4, "dead")


@pytest.mark.parametrize(("interval", "lease", "ttl"), [(60, 10, 70), (1, 30, 30)])
def test_the_report_outlives_the_lease(interval: float, lease: float, ttl: float) -> None:
    """Tools of the public line take the report for the proof of life."""
    settings = Settings(worker_health_check_interval_seconds=interval, lease_seconds=lease)
    assert heartbeat_times(settings).report_ttl_s == ttl


@pytest.mark.parametrize(
    ("interval", "buffer", "lease", "beats"),
    [(60, 10, 10, 3), (1, 10, 10, 1), (4.5, 60, 10, 2), (60, 0, 8, 3), (7, 0, 8, 2), (1, 1, 7, 1)],
)
def test_reports_come_often_enough(interval: float, buffer: float, lease: float, beats: int) -> None:
    """With every third beat, sooner where the interval is shorter, and twice in the life of a report at the
    least."""
    settings = Settings(
        worker_health_check_interval_seconds=interval, worker_health_check_ttl_buffer_seconds=buffer,
        lease_seconds=lease, lease_beat_seconds=2,
    )  # fmt: skip
    assert heartbeat_times(settings).report_beats == beats


@pytest.mark.anyio
async def test_what_a_claim_clears_away_has_its_event(bench: Bench) -> None:
    """Waiters of the public line hear of it, where the settings say so (I12)."""
    await bench.register()
    for name in ("malformed", "cancelled"):
        await bench.enqueue(Job("work", job_id=name))
    await bench.client.hdel(bench.keyspace.job("malformed"), "function_name")
    await bench.client.hset(bench.keyspace.job("cancelled"), "cancel_requested_at", "now")
    settings = Settings(job_events=True)
    claiming = Claiming(bench, claim_plan(settings, burst=False))
    await claiming.loop.passes.next()
    for name in ("malformed", "cancelled"):
        assert await bench.client.xlen(bench.keyspace.events(name)) == 1
    await claiming.stop()
