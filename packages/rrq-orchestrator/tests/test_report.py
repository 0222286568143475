"""The health report."""

import asyncio
import os

import msgspec
import pytest

from rrq_orchestrator.report import build_report
from rrq_orchestrator.runners.base import RunnerHistory
from support.orchestrating import StandInRunner


class NoListener:
    """Hears nothing."""

    outcome = lost = capacity_changed = lambda *_: None


async def make_runner() -> StandInRunner:
    return StandInRunner(NoListener(), capacity=4)


def test_the_report_has_the_public_fields_and_ours() -> None:
    """worker_id, timestamp, status, active_jobs, concurrency_limit and queues are what public tools read."""
    runner = asyncio.run(make_runner())
    report = msgspec.json.decode(
        build_report(
            "o1",
            version="1.0",
            status="running",
            refused="",
            active_jobs=3,
            concurrency=None,
            queues=["default"],
            runners={"python": runner},
            outbox=2,
        )
    )
    assert report["worker_id"] == "o1"
    assert (report["status"], report["active_jobs"], report["concurrency_limit"]) == ("running", 3, 4)
    assert report["queues"] == ["default"]
    assert report["refused"] is None
    assert report["timestamp"].endswith("Z")
    assert (report["pid"], report["version"], report["outbox"]) == (os.getpid(), "1.0", 2)
    assert report["runners"] == {
        "python": {
            "state": "ready",
            "free": 4,
            "capacity": 4,
            "processes": 1,
            "pids": [],
            "restarts": 0,
            "last_error": None,
            "last_error_at": None,
            "stale": 0,
        }
    }


@pytest.mark.parametrize(("concurrency", "limit"), [(None, 8), (3, 3), (20, 8)])
def test_the_limit_is_what_it_may_run_at_a_time(concurrency: int | None, limit: int) -> None:
    """Its runners' slots, or ``worker_concurrency`` if that is less."""
    runners = {"python": asyncio.run(make_runner()), "rust": asyncio.run(make_runner())}
    report = build_report(
        "o1",
        version="1",
        status="running",
        refused="",
        active_jobs=0,
        concurrency=concurrency,
        queues=[],
        runners=runners,
        outbox=0,
    )
    assert msgspec.json.decode(report)["concurrency_limit"] == limit


def test_a_runner_that_does_not_start_says_why() -> None:
    """State, restarts, and the latest error with its time, so that `rrq check` can tell."""
    runner = asyncio.run(make_runner())
    runner.state, runner.capacity = "broken", 0
    runner.history = RunnerHistory(2, "command not found: 'nope'", 1_800_000_000_000, 1)
    report = msgspec.json.decode(
        build_report(
            "o1",
            version="1",
            status="running",
            refused="",
            active_jobs=0,
            concurrency=8,
            queues=[],
            runners={"rust": runner},
            outbox=0,
        )
    )
    assert report["runners"]["rust"] == {
        "state": "broken",
        "free": 0,
        "capacity": 0,
        "processes": 1,
        "pids": [],
        "restarts": 2,
        "last_error": "command not found: 'nope'",
        "last_error_at": "2027-01-15T08:00:00Z",
        "stale": 1,
    }
