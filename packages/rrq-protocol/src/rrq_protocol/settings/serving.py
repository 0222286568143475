"""Which queues an orchestrator serves, and where the jobs of cron entries go. Pure."""

from collections.abc import Iterator, Mapping

import msgspec

from rrq_protocol.errors import InvalidName
from rrq_protocol.names import split_function_name
from rrq_protocol.settings.cron import cron_entry_names
from rrq_protocol.settings.model import Settings

__all__ = ["CronTarget", "cron_targets", "find_unserved", "served_queues"]


class CronTarget(msgspec.Struct, frozen=True):
    """Where the jobs of an entry of ``[[rrq.cron_jobs]]`` go.

    Attributes:
        index: Which entry, from 0.
        name: What it is called.
        queue: The queue of its jobs.
        runner: The runner that its function names, None where it names none.
    """

    index: int
    name: str
    queue: str
    runner: str | None


def served_queues(settings: Settings) -> Mapping[str, int]:
    """Return the queues to serve with their weights: those named, else the default one and those with a
    route.
    """
    if settings.worker.queues:
        return settings.worker.queues
    return {settings.default_queue_name: 1, **dict.fromkeys(settings.runner_routes, 1)}


def cron_targets(settings: Settings) -> tuple[CronTarget, ...]:
    """Return where the jobs of each entry go."""
    names = cron_entry_names(settings.cron_jobs)
    return tuple(
        CronTarget(
            index,
            name,
            job.queue_name or settings.default_queue_name,
            _runner_of(job.function_name),
        )
        for index, (name, job) in enumerate(zip(names, settings.cron_jobs, strict=True))
    )


def _runner_of(function_name: str) -> str | None:
    try:
        return split_function_name(function_name)[0]
    except InvalidName:  # told where the job is checked
        return None


def find_unserved(settings: Settings) -> Iterator[str]:
    """Yield a warning, which begins with the key path, for each cron entry whose jobs may wait for ever.

    No mistake for certain: orchestrators with other settings may serve the queue.
    """
    served = served_queues(settings)
    for target in cron_targets(settings):
        if target.queue not in served:
            yield (
                f"rrq.cron_jobs[{target.index}].queue_name: the queue {target.queue} of the entry "
                f"{target.name} is not among those served with these settings ({', '.join(served)}); its "
                "jobs wait for ever unless another orchestrator serves it: add it to rrq.worker.queues, or "
                "correct the name"
            )
