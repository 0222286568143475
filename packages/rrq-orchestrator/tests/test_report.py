"""The health report."""

import os

import msgspec

from rrq_orchestrator.report import build_report
from support.orchestrating import StandInRunner


class NoListener:
    """Hears nothing."""

    outcome = lost = capacity_changed = lambda *_: None


async def make_runner() -> StandInRunner:
    return StandInRunner(NoListener(), capacity=4)


def test_the_report_has_the_public_fields_and_ours() -> None:
    """worker_id, timestamp, status, active_jobs, concurrency_limit and queues are what public tools read."""
    import asyncio

    runner = asyncio.run(make_runner())
    report = msgspec.json.decode(
        build_report(
            "o1",
            version="1.0",
            status="running",
            active_jobs=3,
            queues=["default"],
            runners={"python": runner},
            outbox=2,
        )
    )
    assert report["worker_id"] == "o1"
    assert (report["status"], report["active_jobs"], report["concurrency_limit"]) == ("running", 3, 4)
    assert report["queues"] == ["default"]
    assert report["timestamp"].endswith("Z")
    assert (report["pid"], report["version"], report["outbox"]) == (os.getpid(), "1.0", 2)
    assert report["runners"] == {"python": {"state": "ready", "free": 4, "capacity": 4, "pids": []}}
