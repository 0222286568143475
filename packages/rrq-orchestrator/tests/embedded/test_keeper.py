"""Who uses a server brings it up again."""

import os
import signal
from pathlib import Path

import structlog
from structlog.testing import capture_logs

from rrq_orchestrator.embedded import Keeper, serving, status, stop
from support.waiting import eventually


def test_a_killed_server_comes_back_and_it_is_told(folder: Path) -> None:
    """By one of several keepers, with an event that names it."""
    with capture_logs() as logged, serving(folder) as first:
        with Keeper(folder, structlog.get_logger), Keeper(folder, structlog.get_logger):
            os.kill(first.pid, signal.SIGKILL)
            eventually(lambda: logged, "the restart to be told")
        second = status(folder)
        assert second is not None
        assert (second.socket, second.pid != first.pid) == (first.socket, True)
    assert [(entry["event"], entry["pid"]) for entry in logged] == [("embedded.restarted", second.pid)]
    assert status(folder) is None


def test_a_server_that_cannot_come_back_is_told_at_growing_intervals(folder: Path) -> None:
    """With the reason; and when the reason is gone, so is the trouble."""
    with capture_logs() as logged, serving(folder) as first:
        manifest = next((folder / "appendonlydir").glob("*.manifest"))
        good = manifest.read_text()
        with Keeper(folder, structlog.get_logger):
            manifest.write_text("garbage\n")
            os.kill(first.pid, signal.SIGKILL)
            eventually(lambda: len(logged) >= 2, "the failure to be told twice")
            manifest.write_text(good)
            eventually(lambda: logged[-1]["event"] == "embedded.restarted", "the restart to be told")
    failures = [entry for entry in logged if entry["event"] == "embedded.restart_failed"]
    assert failures[0]["retry_s"] < failures[1]["retry_s"]
    assert "ended while it started" in failures[0]["problem"]


def test_a_server_that_was_stopped_stays_stopped(folder: Path) -> None:
    """Nobody is told anything, nothing is started."""
    with capture_logs() as logged, serving(folder), Keeper(folder, structlog.get_logger) as keeper:
        assert stop(folder)
        assert not keeper._ending.wait(0.6)
        assert status(folder) is None
    assert logged == []
