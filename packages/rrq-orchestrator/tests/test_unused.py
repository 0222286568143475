"""Settings that change nothing are named."""

from typing import Any

import pytest

from rrq_orchestrator.unused import without_effect
from rrq_protocol.settings import parse_settings


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ({}, ()),
        ({"overlap": "prevent", "runner_enable_inflight_cancel_hints": False, "job_events": True}, ()),
        ({"cron_jobs": [{"function_name": "f", "schedule": "@hourly"}]}, ()),
        ({"http": "127.0.0.1:0"}, ()),
        ({"watch": {"path": "src"}}, ()),
        ({"correlation_mappings": {"order_id": "order.id"}, "telemetry": "otel"}, ()),
        ({"expected_job_ttl": 30}, ()),
        ({"expected_job_ttl": 31}, ("expected_job_ttl",)),
        ({"expected_job_ttl": 31, "compat_job_locks": True}, ()),
        (
            {"expected_job_ttl": 31, "default_lock_timeout_extension_seconds": 9},
            ("default_lock_timeout_extension_seconds", "expected_job_ttl"),
        ),
        ({"runners": {"python": {"cmd": ["x"], "protocol_version": "1"}}}, ()),
    ],
)
def test_what_differs_from_its_default_and_does_nothing_is_named(
    given: dict[str, Any], keys: tuple[str, ...]
) -> None:
    """By its key path; a default that is written out is nobody's concern."""
    assert without_effect(parse_settings(given)) == keys
