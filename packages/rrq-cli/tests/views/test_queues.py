"""Queues on 80 columns."""

from collections.abc import Callable

from rrq_cli.shapes import JobRow, Purged, QueueContent, QueueInfo, QueueStats, Totals
from rrq_cli.views.queues import show_content, show_purged, show_queues, show_stats
from support.cli import HOSTILE

Show = Callable[..., str]


def test_a_list_of_queues(shown_at_80: Show) -> None:
    """One line per queue; what is wrong with one stands below."""
    queues = [
        QueueInfo(name="default", ready=1402, later=3),
        QueueInfo(name="held", ready=1, paused=True),
        QueueInfo(name="odd", problem="the key has the wrong type; expected a sorted set"),
    ]
    assert shown_at_80(show_queues, queues) == (
        "Queue    Waiting  Ready  Later\n"
        "─────────────────────────────────────────────────\n"
        "default    1,405  1,402      3\n"
        "held           1      1      0  paused\n"
        "odd            0      0      0  broken, see below\n"
        "! odd: the key has the wrong type; expected a sorted set\n"
    )
    assert "--show-empty" in shown_at_80(show_queues, [])


def test_figures_of_queues(shown_at_80: Show) -> None:
    """Where jobs stand now, then how they flow, all within 80 columns."""
    stats = QueueStats(
        name="default",
        ready=12,
        later=3,
        active=4,
        oldest_ready_age_seconds=2.1,
        totals=Totals(completed=1_234_567, failed=11, retried=44),
        mean_wait_seconds=0.0123,
        mean_run_seconds=1.5,
        per_second_1m=230.4,
        per_second_1h=0.05,
        per_second_24h=1.5,
        completed_per_hour=[0] * 23 + [7],
        completed_per_minute=[0] * 30 + [5] * 15 + [10] * 15,
    )
    assert shown_at_80(show_stats, [stats]) == (
        "Now\n"
        "Queue    Ready  Later  Active  Oldest ready\n"
        "──────────────────────────────────────────────\n"
        "default     12      3       4         2.1 s\n"
        "\n"
        "So far  means per job\n"
        "Queue         Done  Failed  Retries   Wait    Run\n"
        "─────────────────────────────────────────────────\n"
        "default  1,234,567      11       44  12 ms  1.5 s\n"
        "\n"
        "Throughput  jobs done; the bars are the last hour and the last day\n"
        "Queue    1 min      1 h   24 h  Hour          Day\n"
        "──────────────────────────────────────────────────────────\n"
        "default  230/s  3.0/min  1.5/s  ▁▁▁▁▁▁▅▅▅███  ▁▁▁▁▁▁▁▁▁▁▁█\n"
    )
    assert "first job" in shown_at_80(show_stats, [])


def test_recounted_records(shown_at_80: Show) -> None:
    """With a scan, a third table counts the records by status."""
    text = shown_at_80(show_stats, [QueueStats(name="q", scanned={"FAILED": 2, "ACTIVE": 1})])
    assert "Queue  Active  Failed\n" in text


def test_the_content_of_a_queue(shown_at_80: Show) -> None:
    """Jobs in order, ids whole, hostile text harmless, and how to see more."""
    jobs = [JobRow(id="0198f3c2-1c5e-7a31-9a52-6d0ef4a1b001", status="PENDING", function_name=HOSTILE)]
    text = shown_at_80(show_content, QueueContent(name="q", ready=30, offset=0, jobs=jobs))
    assert jobs[0].id in text
    assert text.isprintable() or set(text) - {c for c in text if c.isprintable()} == {"\n"}
    assert text.endswith("1 to 1 of 30; more: --offset 1\n")
    assert "no jobs" in shown_at_80(show_content, QueueContent(name="q"))


def test_what_a_purge_did(shown_at_80: Show) -> None:
    """How many went, and why others did not."""
    done = Purged(results={"ok": 1402, "busy": 1, "gone": 2})
    assert shown_at_80(show_purged, done) == (
        "1,402 jobs deleted\n"
        "1 entry left alone: started meanwhile\n"
        "2 entries left alone: had no record any more; orchestrators clear such entries\n"
        "away\n"
    )
    assert shown_at_80(show_purged, Purged(dry_run=True, ids=["a"])) == "1 job would be deleted\n"
