"""The worker of the first library; tests/earlier runs one."""

import pytest

from rrq_orchestrator.old_names import RRQWorker
from rrq_protocol import SettingsError, load_settings


def test_handlers_are_needed() -> None:
    """A worker without a registry is refused where it is made; what is none, where it runs."""
    with pytest.raises(TypeError, match="give the handlers as job_registry"):
        RRQWorker(load_settings())
    with pytest.raises(SettingsError, match="expected a Registry or RunnerSettings, got list"):
        RRQWorker(load_settings(), job_registry=["handlers"]).run()
