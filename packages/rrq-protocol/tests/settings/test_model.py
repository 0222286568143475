"""The settings model: public defaults, immutability, masked secrets."""

import subprocess
import sys

import pytest

from rrq_protocol.settings import Secret, Settings

# The public line's documented defaults (API.md, *Settings*).
PUBLIC_DEFAULTS = {
    "default_queue_name": "default",
    "default_dlq_name": "default",
    "default_max_retries": 5,
    "default_job_timeout_seconds": 300,
    "default_lock_timeout_extension_seconds": 60,
    "default_result_ttl_seconds": 86400,
    "default_poll_delay_seconds": 0.1,
    "runner_connect_timeout_ms": 15000,
    "default_unique_job_lock_ttl_seconds": 21600,
    "default_runner_name": "python",
    "runner_management_mode": "managed",
    "runners": {},
    "runner_routes": {},
    "worker_health_check_interval_seconds": 60,
    "worker_health_check_ttl_buffer_seconds": 10,
    "base_retry_delay_seconds": 5,
    "max_retry_delay_seconds": 3600,
    "worker_shutdown_grace_period_seconds": 10,
    "runner_shutdown_term_grace_seconds": 5,
    "expected_job_ttl": 30,
    "cron_jobs": (),
    "correlation_mappings": {},
}


def test_public_defaults() -> None:
    """A configuration of the public line means the same here."""
    settings = Settings()
    assert {name: getattr(settings, name) for name in PUBLIC_DEFAULTS} == PUBLIC_DEFAULTS


def test_own_defaults() -> None:
    """The decided values of RELIABILITY.md."""
    settings = Settings()
    assert (settings.lease_seconds, settings.lease_beat_seconds, settings.max_crashes) == (10, 2, 3)
    assert (settings.timeout_policy, settings.unknown_handler_policy, settings.overlap) == (
        "dlq",
        "dlq",
        "allow",
    )
    assert (settings.job_events, settings.compat_job_locks, settings.http.address) == (False, False, None)
    assert (settings.max_payload_bytes, settings.failed_job_ttl_seconds) == (2**20, 7 * 86400)


def test_plain_dsn_is_wrapped() -> None:
    """Code may pass the DSN as text; no form of the settings shows its password (S8)."""
    plain: object = "redis://u:canary@h/1"
    settings = Settings(redis_dsn=plain)  # type: ignore[arg-type]
    assert settings.redis_dsn == Secret("redis://u:canary@h/1")
    assert "canary" not in repr(settings)


def test_settings_are_frozen() -> None:
    """Nobody changes settings under a running service."""
    with pytest.raises(AttributeError):
        Settings().lease_seconds = 3  # type: ignore[misc]


def test_importing_settings_is_light() -> None:
    """Only msgspec and the standard library are loaded, and what few need only when it is needed."""
    code = "import sys, rrq_protocol.settings; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    loaded = set(done.stdout.split())
    foreign = {name for name in loaded if name.isidentifier()} - set(sys.stdlib_module_names)
    # msgspec itself looks for typing_extensions.
    allowed = {"msgspec", "rrq_protocol", "typing_extensions"}
    assert {name for name in foreign if not name.startswith("_")} <= allowed
    assert loaded.isdisjoint({"tomllib", "dotenv", "asyncio", "difflib", "shlex", "socket", "subprocess"})
