"""What the debug commands did, on 80 columns."""

from collections.abc import Callable

from rrq_cli.shapes import Cleared, Generated, Stressed
from rrq_cli.views.generated import show_cleared, show_generated, show_stressed

Show = Callable[..., str]


def test_generated(shown_at_80: Show) -> None:
    """How many, where, and of which status."""
    made = Generated(jobs={"pending": 1200, "failed": 3}, queues=["a", "b"])
    assert shown_at_80(show_generated, made) == (
        "1,203 jobs generated in 2 queues: a, b\n1,200 pending, 3 failed\n"
    )
    came = Generated(orchestrators=2, queues=["a"])
    assert shown_at_80(show_generated, came) == "2 simulated orchestrators came and went\n"


def test_cleared(shown_at_80: Show) -> None:
    """What is gone, and what stays."""
    done = Cleared(results={"ok": 5, "busy": 1, "gone": 2}, orchestrators=1)
    assert shown_at_80(show_cleared, done) == (
        "5 jobs deleted\n"
        "1 job left alone: running\n"
        "2 keys left alone: no job, or gone meanwhile\n"
        "1 simulated orchestrator removed\n"
        "The counters of their queues stay.\n"
    )
    assert shown_at_80(show_cleared, Cleared(dry_run=True)) == "0 jobs would be deleted\n"


def test_stressed(shown_at_80: Show) -> None:
    """The rate that was reached, the times of the calls, and how many ended."""
    done = Stressed(
        enqueued=600, seconds=60.0, jobs_per_second=10.0, call_ms_p50=0.5, call_ms_p95=1.0, call_ms_p99=12.0,
        ended=590, ended_per_second=9.8,
    )  # fmt: skip
    assert shown_at_80(show_stressed, done) == (
        "600 jobs enqueued in 1m 0s, 10.0/s\n"
        "a call took 500 µs; 95 % at most 1 ms, 99 % at most 12 ms\n"
        "590 jobs ended, 9.8/s\n"
    )
