"""Short answers on 80 columns."""

from collections.abc import Callable

from rrq_cli.shapes import Submitted, Waited, Why
from rrq_cli.views.answers import show_submitted, show_waited, show_why
from support.cli import HOSTILE

Show = Callable[..., str]


def test_why(shown_at_80: Show) -> None:
    """The status, the reason, and below it the command that helps."""
    found = Why(
        id="j", status="PENDING", reason="paused", text="queue q is paused", advice="rrq queue resume q"
    )
    assert shown_at_80(show_why, found) == "PENDING  queue q is paused\nrrq queue resume q\n"
    text = shown_at_80(show_why, Why(id="j", status=HOSTILE, reason="done", text=HOSTILE, advice=HOSTILE))
    assert {char for char in text if not char.isprintable()} == {"\n"}


def test_waited(shown_at_80: Show) -> None:
    """A result, an error, or that time is up and where to ask."""
    show = shown_at_80
    done = Waited(id="j", status="COMPLETED", timed_out=False, result={"n": 1})
    assert show(show_waited, done) == 'COMPLETED\n{"n": 1}\n'
    failed = Waited(id="j", status="FAILED", timed_out=False, error="ValueError: boom")
    assert show(show_waited, failed) == "FAILED\nValueError: boom\n"
    late = Waited(id="j", status="ACTIVE", timed_out=True)
    assert show(show_waited, late) == "ACTIVE\nnot ended in time; why:\nrrq job why j\n"


def test_submitted(shown_at_80: Show) -> None:
    """The id and how to follow it, or how it ended."""
    new = Submitted(id="j", queue_name="q", created=True)
    assert shown_at_80(show_submitted, new) == "j  enqueued in queue q\nfollow it: rrq job trace j\n"
    old = Submitted(id="j", queue_name="q", created=False, status="COMPLETED", result=1)
    assert shown_at_80(show_submitted, old) == "j  already there in queue q\nCOMPLETED\n1\n"
