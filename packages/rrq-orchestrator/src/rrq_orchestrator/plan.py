"""From the settings to what each part needs: pure, one function per part."""

from rrq_orchestrator.audit import Rules
from rrq_orchestrator.claim import ClaimPlan
from rrq_orchestrator.dispatch import DispatchLimits
from rrq_orchestrator.heartbeat import HeartbeatTimes
from rrq_orchestrator.routing import Routes
from rrq_protocol import Settings
from rrq_protocol.settings import served_queues
from rrq_protocol.transitions import RecoveryPolicy

__all__ = [
    "audit_rules",
    "claim_plan",
    "dispatch_limits",
    "heartbeat_times",
    "recovery_policy",
    "routes",
]

_REPORT_BEATS = 3
"""Beats to a report, if that is often enough for the settings. More would save little: a beat without a
report costs Redis three quarters of one with it."""


def routes(settings: Settings) -> Routes:
    """Return the routing table."""
    return Routes(settings.default_runner_name, settings.runner_routes)


def claim_plan(settings: Settings, *, burst: bool) -> ClaimPlan:
    """Return what the claim loop goes by."""
    margin_s = settings.default_lock_timeout_extension_seconds + settings.expected_job_ttl
    return ClaimPlan(
        weights=served_queues(settings),
        strict=settings.worker.strict,
        poll_s=settings.default_poll_delay_seconds,
        concurrency=settings.worker_concurrency,
        dlq_name=settings.default_dlq_name,
        failed_ttl_s=settings.failed_job_ttl_seconds,
        lock_extension_s=margin_s if settings.compat_job_locks else None,
        job_events=settings.job_events,
        max_payload_bytes=settings.max_payload_bytes,
        burst=burst,
    )


def dispatch_limits(settings: Settings) -> DispatchLimits:
    """Return the limits of attempts."""
    waits = {
        name: runner.response_timeout_seconds
        for name, runner in settings.runners.items()
        if runner.response_timeout_seconds is not None
    }
    return DispatchLimits(
        default_timeout_s=settings.default_job_timeout_seconds,
        cancel_grace_s=settings.runner_cancel_grace_seconds,
        result_ttl_s=settings.default_result_ttl_seconds,
        failed_ttl_s=settings.failed_job_ttl_seconds,
        dlq_name=settings.default_dlq_name,
        max_result_bytes=settings.max_payload_bytes,
        response_timeout_s=waits,
    )


def heartbeat_times(settings: Settings) -> HeartbeatTimes:
    """Return the times of the lease."""
    interval_s, beat_s = settings.worker_health_check_interval_seconds, settings.lease_beat_seconds
    ttl_s = max(interval_s + settings.worker_health_check_ttl_buffer_seconds, settings.lease_seconds)
    report_s = min(interval_s, ttl_s / 2)
    return HeartbeatTimes(
        lease_s=settings.lease_seconds,
        beat_s=beat_s,
        report_ttl_s=ttl_s,
        report_beats=max(1, min(_REPORT_BEATS, int(report_s / beat_s))),
    )


def recovery_policy(settings: Settings) -> RecoveryPolicy:
    """Return how jobs of dead orchestrators are taken back."""
    return RecoveryPolicy(
        max_crashes=settings.max_crashes,
        crash_delay_ms=round(settings.base_retry_delay_seconds * 1000),
        dlq_name=settings.default_dlq_name,
        failed_ttl_seconds=settings.failed_job_ttl_seconds,
        cancelled_ttl_seconds=settings.default_result_ttl_seconds,
        job_events=settings.job_events,
    )


def audit_rules(settings: Settings) -> Rules:
    """Return what the auditor has to know."""
    return Rules(
        max_crashes=settings.max_crashes,
        dlq_name=settings.default_dlq_name,
        max_payload_bytes=settings.max_payload_bytes,
        lease_s=settings.lease_seconds,
    )
