"""What watch mode makes of the settings."""

from pathlib import Path

import pytest

from rrq_orchestrator.watch import for_watching, watched_folder
from rrq_protocol import SettingsError
from rrq_protocol.settings import parse_settings


def test_managed_runners_are_one_process_with_one_slot() -> None:
    """External ones are somebody else's; a stop waits for no job."""
    settings = for_watching(
        parse_settings(
            {
                "runners": {
                    "python": {"app": "a:b", "pool_size": 4, "env": {"A": "1"}},
                    "far": {"mode": "external", "tcp_port": 7000, "pool_size": 3, "max_in_flight": 5},
                }
            }
        )
    )
    python, far = settings.runners["python"], settings.runners["far"]
    assert (python.processes, python.max_in_flight) == (1, 1)
    assert python.env == {"A": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    assert (far.processes, far.max_in_flight, far.env) == (3, 5, {})
    assert settings.worker_shutdown_grace_period_seconds == 0


def test_the_watched_folder_is_resolved_or_refused(tmp_path: Path) -> None:
    """Links are followed, as the kernel names files by where they are."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    settings = parse_settings({"watch": {"path": str(tmp_path / "link")}})
    assert watched_folder(settings) == (tmp_path / "real").resolve()
    with pytest.raises(SettingsError, match="expected a folder"):
        watched_folder(parse_settings({"watch": {"path": str(tmp_path / "none")}}))
