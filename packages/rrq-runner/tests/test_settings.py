"""Settings are checked when they are made."""

from datetime import timedelta
from typing import Any

import pytest

from rrq_protocol import SettingsError
from rrq_runner.registry import Registry
from rrq_runner.settings import RunnerSettings


def test_defaults_need_a_registry_only() -> None:
    """Everything else has a default, and the object does not change afterwards."""
    settings = RunnerSettings(registry=Registry())
    assert settings.max_in_flight is None
    assert (settings.shutdown_grace_s, settings.cancel_grace_s) == (4.0, 0.5)
    with pytest.raises(AttributeError):
        settings.threads = 3  # type: ignore[misc] # frozen, which is what is tested


def test_durations_may_be_timedeltas() -> None:
    """They are kept in seconds."""
    settings = RunnerSettings(registry=Registry(), shutdown_grace_seconds=timedelta(minutes=1))
    assert settings.shutdown_grace_seconds == settings.shutdown_grace_s == 60.0


def test_all_problems_are_named_at_once() -> None:
    """One error lists every field that cannot be used."""
    wrong: dict[str, Any] = {
        "registry": {},
        "on_startup": 1,
        "lifespan": print,
        "max_in_flight": 0,
        "threads": True,
        "shutdown_grace_seconds": -1,
        "cancel_grace_seconds": "x",
    }
    with pytest.raises(SettingsError) as caught:
        RunnerSettings(**wrong)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "registry",
        "on_startup",
        "lifespan",
        "max_in_flight",
        "threads",
        "shutdown_grace_seconds",
        "cancel_grace_seconds",
    ]
