"""What the debug commands made and cleared away, on the terminal."""

from typing import TYPE_CHECKING

from rrq_cli.output import shown
from rrq_cli.shapes import Cleared, Generated, Stressed
from rrq_cli.words import duration, number, plural, rate

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_cleared", "show_generated", "show_stressed"]


def show_generated(out: "Console", made: Generated) -> None:
    """Print how many jobs of each status there are now, or how many orchestrators there were."""
    where = f"in {plural(len(made.queues), 'queue')}: {', '.join(made.queues)}"
    if made.orchestrators:
        out.print(
            shown(f"{plural(made.orchestrators, 'simulated orchestrator')} came and went"), overflow="fold"
        )
        return
    parts = ", ".join(f"{number(count)} {status}" for status, count in made.jobs.items())
    out.print(shown(f"{plural(sum(made.jobs.values()), 'job')} generated {where}", "green"), overflow="fold")
    out.print(shown(parts, "dim"), overflow="fold")


def show_cleared(out: "Console", done: Cleared) -> None:
    """Print what is gone."""
    count = done.results.get("ok", 0)
    out.print(shown(f"{plural(count, 'job')} {'would be deleted' if done.dry_run else 'deleted'}"))
    if busy := done.results.get("busy", 0):
        out.print(shown(f"{plural(busy, 'job')} left alone: running", "yellow"))
    if odd := sum(count for answer, count in done.results.items() if answer not in ("ok", "busy")):
        out.print(shown(f"{plural(odd, 'key')} left alone: no job, or gone meanwhile", "yellow"))
    if done.orchestrators:
        out.print(shown(f"{plural(done.orchestrators, 'simulated orchestrator')} removed"))
    if count and not done.dry_run:
        out.print(shown("The counters of their queues stay.", "dim"))


def show_stressed(out: "Console", done: Stressed) -> None:
    """Print the rate and the times."""
    reached = (
        f"{plural(done.enqueued, 'job')} enqueued in {duration(done.seconds)}, {rate(done.jobs_per_second)}"
    )
    out.print(shown(reached, "green"))
    times = (done.call_ms_p50, done.call_ms_p95, done.call_ms_p99)
    half, most, nearly_all = (duration(None if each is None else each / 1000) for each in times)
    out.print(shown(f"a call took {half}; 95 % at most {most}, 99 % at most {nearly_all}", "dim"))
    if done.ended is not None:
        ended = f"{plural(done.ended, 'job')} ended, {rate(done.ended_per_second or 0)}"
        out.print(shown(ended, "" if done.ended == done.enqueued else "yellow"))
