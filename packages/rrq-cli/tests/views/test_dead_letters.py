"""Dead letters on 80 columns."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from rrq_cli.shapes import DeadLetterGroup, DeadLetterStats, JobList, JobRow, Requeued
from rrq_cli.views.dead_letters import Asked, show_dead, show_groups, show_requeued
from support.cli import HOSTILE

Show = Callable[..., str]
ID = "0198f3c2-1c5e-7a31-9a52-6d0ef4a1b001"


def test_a_list_of_dead_letters(shown_at_80: Show) -> None:
    """Two lines each: which job, and the first line of its error, cut to the width."""
    job = JobRow(id=ID, status="FAILED", function_name="f", queue_name="q", attempts=3, max_attempts=3)
    job.finished_at = datetime.now(UTC) - timedelta(minutes=5, seconds=30)
    job.last_error = "ValueError: " + "x" * 100 + "\nmore"
    hostile = JobRow(id="h", problem=HOSTILE)
    text = shown_at_80(show_dead, JobList(jobs=[job, hostile], total=9, complete=False))
    lines = text.splitlines()
    assert lines[0] == f"{ID}  f in q  3/3  5m 30s ago"
    assert lines[1] == "  ValueError: " + "x" * 65 + "…"
    assert lines[2] == "h"
    assert lines[3].startswith("  \\x1b[2J")
    assert lines[4] == "2 of 9 dead letters; more: --offset, --limit; grouped: rrq dlq stats"


def test_nothing_to_show_says_why(shown_at_80: Show) -> None:
    """An empty queue is told apart from filters that let nothing through."""
    assert shown_at_80(show_dead, JobList(total=0)) == "The dead letter queues are empty.\n"
    assert shown_at_80(show_dead, JobList(total=2)) == "None of the 2 dead letters fits.\n"
    assert "empty" in shown_at_80(show_groups, DeadLetterStats(total=0, looked_at=0, complete=True))


def test_a_count_says_of_what_it_is(shown_at_80: Show) -> None:
    """Those shown are told apart from those that fit, were looked at, and are there."""
    jobs = [JobRow(id=name, status="FAILED") for name in "abc"]

    def last(asked: Asked, *, complete: bool, looked_at: int = 9) -> str:
        found = JobList(jobs=jobs, total=1480, looked_at=looked_at, complete=complete)
        return " ".join(shown_at_80(lambda out, each: show_dead(out, each, asked), found).split("\n")[6:])

    some = Asked(filtered=True)
    assert last(some, complete=False).startswith("3 that fit, 9 of 1,480 looked at; more: --offset")
    assert last(some, complete=True, looked_at=1480) == "3 of 1,480 dead letters fit "
    paged = Asked(filtered=True, offset=2)
    assert last(paged, complete=True) == "5 of 1,480 dead letters fit; shown from offset 2 on "
    assert last(Asked(), complete=False).startswith("3 of 1,480 dead letters; more:")


def test_nothing_that_fits_is_not_nothing(shown_at_80: Show) -> None:
    """Empty queues are called so only if they are; the name of one that is goes with it."""

    def none(asked: Asked, found: JobList) -> str:
        return shown_at_80(lambda out, each: show_dead(out, each, asked), found)

    def no_groups(stats: DeadLetterStats) -> str:
        return shown_at_80(lambda out, each: show_groups(out, each, Asked(filtered=True)), stats)

    assert none(Asked("mails"), JobList(total=0)) == "Dead letter queue mails is empty.\n"
    assert none(Asked(offset=7), JobList(total=5)) == "There is no dead letter from offset 7 on.\n"
    whole = DeadLetterStats(total=10, looked_at=10, complete=True)
    assert no_groups(whole) == "None of the 10 dead letters fits.\n"
    part = DeadLetterStats(total=1480, looked_at=100, complete=False)
    assert no_groups(part) == (
        "None of 100 looked at fits, of 1,480 dead letters.\n100 of 1,480 looked at; all: --max-scan 0\n"
    )


def test_groups(shown_at_80: Show) -> None:
    """Each group has its count, its error, and a command that shows its newest job."""
    group = DeadLetterGroup(count=10, queue_name="q", function_name="f", error="KeyError: …", newest_id="j")
    text = shown_at_80(show_groups, DeadLetterStats(total=12, looked_at=10, complete=False, groups=[group]))
    assert text == (
        "10 dead letters  in 1 group\n"
        "     10  f in q\n"
        "         KeyError: …\n"
        "         rrq job trace j\n"
        "10 of 12 looked at; all: --max-scan 0\n"
    )


def test_requeueing(shown_at_80: Show) -> None:
    """What was moved, what was left alone, and in a dry run which it would be."""
    assert shown_at_80(
        show_requeued,
        Requeued(dry_run=False, ids=["a", "b", "c"], results={"ok": 1, "not_failed": 1, "bad_queue": 1}),
    ) == (
        "1 job requeued\n1 job left alone: not failed\n"
        "1 job left alone: no queue can have the name in their records; name one with\n--target-queue\n"
    )
    dry = shown_at_80(show_requeued, Requeued(dry_run=True, ids=[str(n) for n in range(25)]))
    assert dry.startswith("25 jobs would be requeued\n0\n1\n")
    assert dry.endswith("19\n… and 5 more\n")
