"""Cron entries whose jobs nobody would execute: their queue is not served here, or their runner is unknown;
pure.

Another orchestrator may serve such a queue, so an orchestrator tells of it and goes on.
"""

from collections.abc import Collection, Iterator
from typing import Final

from rrq_protocol import Settings
from rrq_protocol.settings import cron_targets, served_queues

__all__ = ["ENTRY_REFUSED", "strays", "unknown_runners", "watched_queues"]

ENTRY_REFUSED: Final = (
    "it is not fired, the others are: correct it, and ask `rrq config check` before a start"
)
"""What to do about an entry that cannot be read."""


def strays(settings: Settings, runners: Collection[str]) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield each entry's name whose jobs this orchestrator would not execute, with the fields of an event.

    Args:
        runners: The names of those it has.
    """
    served = served_queues(settings)
    for target in cron_targets(settings):
        if target.queue not in served:
            yield (
                target.name,
                {
                    "queue": target.queue,
                    "served": list(served),
                    "action": "its jobs wait until an orchestrator serves this queue: add it to "
                    "rrq.worker.queues of one, or correct queue_name",
                },
            )
        elif target.runner is not None and target.runner not in runners:
            yield (
                target.name,
                {
                    "queue": target.queue,
                    "runner": target.runner,
                    "action": "its jobs go to the dead letters: add [rrq.runners."
                    f"{target.runner}], or correct function_name",
                },
            )


def unknown_runners(settings: Settings) -> Iterator[str]:
    """Yield a problem, which begins with the key path, for each entry that names a runner which the settings
    have not, in a queue that is served with them."""
    served = served_queues(settings)
    known = {*settings.runners, settings.default_runner_name}
    for target in cron_targets(settings):
        if target.queue in served and target.runner is not None and target.runner not in known:
            yield (
                f"rrq.cron_jobs[{target.index}].function_name: expected a runner of the settings "
                f"({', '.join(sorted(known))}), got {target.runner} in the entry {target.name}: its jobs "
                "would go to the dead letters"
            )


def watched_queues(settings: Settings) -> list[str]:
    """Return the queues whose sizes are worth a metric: those served, and those that cron entries feed."""
    return list(dict.fromkeys([*served_queues(settings), *(each.queue for each in cron_targets(settings))]))
