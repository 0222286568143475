"""Short answers about one job: what was enqueued, how a wait ended, why it does not run."""

import json
from typing import TYPE_CHECKING, Any

from rrq_cli.hints import command, remark
from rrq_cli.output import shown
from rrq_cli.shapes import Submitted, Waited, Why
from rrq_cli.views.jobs import status_text

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_submitted", "show_waited", "show_why"]


def show_submitted(out: "Console", answer: Submitted) -> None:
    """Print what was enqueued, and how it ended where that was waited for."""
    verb = "enqueued" if answer.created else "already there"
    out.print(shown(f"{answer.id}  {verb} in queue {answer.queue_name}"), overflow="fold")
    if answer.status is None:
        follow = command("job", "trace", answer.id) + remark()
        out.print(shown(f"follow it: {follow}", "dim"), soft_wrap=True)
        return
    _show_end(out, answer.status, answer.result, answer.error)


def show_waited(out: "Console", answer: Waited) -> None:
    """Print how a job ended, or that it did not."""
    _show_end(out, answer.status, answer.result, answer.error)
    if answer.timed_out:
        out.print(shown("not ended in time; why:", "yellow"))
        out.print(shown(command("job", "why", answer.id) + remark(), "dim"), soft_wrap=True)


def _show_end(out: "Console", status: str | None, result: Any, error: str | None) -> None:
    out.print(status_text(status))
    if status == "COMPLETED":
        out.print(shown(json.dumps(result, ensure_ascii=False)), overflow="fold")
    elif error:
        out.print(shown(error, "red"), overflow="fold")


def show_why(out: "Console", found: Why) -> None:
    """Print why a job does not run, and what helps."""
    line = status_text(found.status).append("  ")
    line.append_text(shown(found.text, "yellow" if found.stuck else ""))
    out.print(line, overflow="fold")
    if found.advice is not None:
        out.print(shown(found.advice + remark(), "dim"), soft_wrap=True)
