"""From the settings to cron entries that can be fired; pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Final

import msgspec

from rrq_orchestrator.cron.strays import unknown_runners
from rrq_protocol import InvalidJob, Job, Settings
from rrq_protocol.settings import CronJob, cron_entry_names
from rrq_protocol.transitions import EnqueueDefaults, Guard, PreparedJob, prepare

if TYPE_CHECKING:
    from rrq_orchestrator.cron.schedule import Schedule
    from rrq_orchestrator.cron.ticks import MissedPolicy

__all__ = ["CronEntry", "cron_entries", "cron_problems"]

# The key goes with its job; this only bounds what a job that vanished leaves behind.
_UNIQUE_TTL_S: Final = 365 * 86_400.0


class CronEntry(msgspec.Struct, frozen=True):
    """One entry of ``[[rrq.cron_jobs]]``, checked.

    Attributes:
        name: What it is called in Redis, in job ids and on the command line.
        job: As it stands in the settings.
        schedule: Its ticks.
        missed: What becomes of missed ones.
        defaults: What its jobs get where the entry leaves a field open.
    """

    name: str
    job: CronJob
    schedule: "Schedule"
    missed: "MissedPolicy"
    defaults: EnqueueDefaults

    @property
    def fingerprint(self) -> str:
        """What the ticks follow from: with another one they begin anew."""
        return f"{' '.join(self.job.schedule.split())} {self.job.timezone} {self.job.dst_gap}"

    @property
    def queue(self) -> str:
        """The queue of its jobs."""
        return self.job.queue_name or self.defaults.queue_name

    @property
    def may_overlap(self) -> bool:
        """Whether a tick is fired while the job of the one before has not ended; ``unique`` is another way to
        say that it is not."""
        return self.job.overlap != "skip" and not self.job.unique

    def job_at(self, tick: int) -> PreparedJob:
        """Return the job of a tick (epoch seconds), which is accepted once, whoever asks for it."""
        guard = Guard("tick", self.name, tick_ms=tick * 1000)
        return prepare(self._job(tick_id(self.name, tick)), self.defaults, guard=guard)

    def job_now(self) -> PreparedJob:
        """Return a job that is no tick's: somebody wants it now."""
        return prepare(self._job(None), self.defaults)

    def _job(self, job_id: str | None) -> Job:
        return Job(
            self.job.function_name,
            dict(self.job.params),
            job_id=job_id,
            queue_name=self.job.queue_name,
            unique_key=None if self.may_overlap else f"cron:{self.name}",
            unique_ttl_seconds=_UNIQUE_TTL_S,
        )


def tick_id(name: str, tick: int) -> str:
    """Return the id of the job of a tick: the tick is its identity."""
    return f"cron:{name}:{datetime.fromtimestamp(tick, UTC):%Y%m%dT%H%M%SZ}"


def cron_problems(settings: Settings) -> Sequence[str]:
    """Return what is wrong with the cron entries, each with its key path (entry point
    ``rrq.settings_checks``).

    Those about runners do not keep an orchestrator from its start: it may have been given one by code.
    """
    return [*_read(settings)[1], *unknown_runners(settings)]


def cron_entries(settings: Settings) -> tuple[tuple[CronEntry, ...], Sequence[str]]:
    """Return the entries that can be fired, and what is wrong with the others: one that never comes keeps
    none of the others from their ticks (F55)."""
    return _read(settings)


def _read(settings: Settings) -> tuple[tuple[CronEntry, ...], list[str]]:
    entries: list[CronEntry] = []
    problems: list[str] = []
    defaults = EnqueueDefaults(
        queue_name=settings.default_queue_name,
        max_retries=settings.default_max_retries,
        job_timeout_seconds=settings.default_job_timeout_seconds,
        result_ttl_seconds=settings.default_result_ttl_seconds,
        max_payload_bytes=settings.max_payload_bytes,
    )
    names = cron_entry_names(settings.cron_jobs)
    for index, (name, job) in enumerate(zip(names, settings.cron_jobs, strict=True)):
        found = _entry(name, job, defaults)
        if isinstance(found, CronEntry):
            entries.append(found)
        else:
            problems += [
                f"rrq.cron_jobs[{index}].{field}: {text} (in the entry {name})" for field, text in found
            ]
    return tuple(entries), problems


def _entry(name: str, job: CronJob, defaults: EnqueueDefaults) -> CronEntry | list[tuple[str, str]]:
    # Here, because most orchestrators have no entries.
    from rrq_orchestrator.cron.expression import BadSchedule
    from rrq_orchestrator.cron.schedule import Schedule, find_zone
    from rrq_orchestrator.cron.ticks import MissedPolicy

    problems: list[tuple[str, str]] = []
    zone: tzinfo = UTC
    try:
        zone = find_zone(job.timezone)
    except BadSchedule as error:
        problems.append(("timezone", str(error)))
    try:
        schedule = Schedule(job.schedule, zone, gap=job.dst_gap)
    except BadSchedule as error:
        problems.insert(0, ("schedule", str(error)))
        schedule = Schedule("@daily", UTC)  # so that the rest can be judged
    entry = CronEntry(name, job, schedule, MissedPolicy(job.missed, job.max_catch_up), defaults)
    try:
        entry.job_at(0)
    except InvalidJob as error:
        problems.append((error.field, error.message))
    return problems or entry
