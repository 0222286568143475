"""What cron entries are called: in Redis, in job ids, and on the command line. Pure."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

from rrq_protocol.settings.tables import CronJob

__all__ = ["MAX_CRON_ENTRY_CHARS", "cron_entry_names"]

MAX_CRON_ENTRY_CHARS = 96
"""With it a job id, ``cron:<entry>:<time>``, stays within 128 characters."""

_READABLE_CHARS = 80
_is_usable = re.compile(rf"[A-Za-z0-9._-]{{1,{MAX_CRON_ENTRY_CHARS}}}").fullmatch
_unusable = re.compile(r"[^A-Za-z0-9._-]+")


def cron_entry_names(jobs: Sequence[CronJob]) -> tuple[str, ...]:
    """Return the identity of each entry: its ``name``, else its function, in characters of a job id.

    Of several entries without a name for one function, each also gets a digest of what it says, so that files
    without names work. Two equal identities are a mistake, which the settings' checks report.
    """
    functions = Counter(job.function_name for job in jobs if job.name is None)
    return tuple(_name(job, alone=functions[job.function_name] == 1) for job in jobs)


def _name(job: CronJob, *, alone: bool) -> str:
    if job.name is not None:
        return _usable(job.name.strip())
    if alone:
        return _usable(job.function_name)
    content = repr((job.schedule, job.timezone, job.params, job.queue_name))
    return _usable(f"{job.function_name}-{_digest(content)}")


def _usable(name: str) -> str:
    """Return a name as it is if a job id may hold it, else what can be kept of it with a digest."""
    if _is_usable(name):
        return name
    kept = _unusable.sub("-", name)[:_READABLE_CHARS].strip("-")
    return f"{kept}-{_digest(name)}".lstrip("-")


def _digest(content: str) -> str:
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
