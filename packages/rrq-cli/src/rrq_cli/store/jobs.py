"""Finding jobs: the indexes are walked (active sets, queues, dead letters); all records when asked for."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from redis import exceptions

from rrq_cli.shapes import JobList, JobRow
from rrq_cli.store.client import Store
from rrq_cli.store.dead_letters import dead_ids, dlq_names
from rrq_cli.store.orchestrators import active_ids
from rrq_cli.store.queues import batches, glob_escaped, queue_names, scan_keys
from rrq_cli.store.records import read_rows, text_of
from rrq_protocol import JobStatus

__all__ = ["UNINDEXED", "JobFilter", "find_jobs", "no_jobs"]

MOST_LOOKED_AT = 10_000
_PAGE = 200
UNINDEXED = frozenset({JobStatus.COMPLETED.value, JobStatus.CANCELLED.value})
"""What no index leads to."""

_KEYS_FOR_NONE = 1000
_WAITING = {JobStatus.PENDING.value, JobStatus.RETRYING.value}


@dataclass(frozen=True)
class JobFilter:
    """What is looked for; None and empty mean anything. ``since`` and ``until`` bound its end, ``error`` is
    any part of its error, in any case.
    """

    status: str | None = None
    queue: str | None = None
    function: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    error: str | None = None

    def accepts(self, row: JobRow) -> bool:
        """Whether a job is looked for. A malformed one is, unless what can be read of it says otherwise."""
        return (
            self.status in (None, row.status)
            and self.queue in (None, row.queue_name)
            and (
                self.function is None or row.function_name == self.function or _handler(row) == self.function
            )
            and self._in_time(row.finished_at)
            and (self.error is None or self.error.casefold() in _error(row).casefold())
        )

    def _in_time(self, ended: datetime | None) -> bool:
        if ended is None:
            return self.since is None and self.until is None
        return (self.since is None or ended >= self.since) and (self.until is None or ended <= self.until)


def _error(row: JobRow) -> str:
    return f"{row.last_error or ''}\n{row.problem or ''}"


def _handler(row: JobRow) -> str | None:
    return None if row.function_name is None else row.function_name.partition("#")[2]


def find_jobs(store: Store, wanted: JobFilter, *, limit: int, scan: bool) -> JobList:
    """Return up to ``limit`` jobs: running ones, then waiting ones as they become due, then dead letters.

    Args:
        store: The connection.
        wanted: The filter.
        limit: Jobs at most.
        scan: Read all records instead, also those that no index leads to: completed and cancelled ones.
    """
    result = JobList(complete=scan or wanted.status not in UNINDEXED)
    seen: set[str] = set()
    for page in batches(_scanned(store) if scan else _indexed(store, wanted), _PAGE):
        fresh = [job_id for job_id in page if job_id not in seen]
        seen.update(fresh)
        rows = read_rows(store, fresh)
        result.looked_at += len(rows)
        result.jobs += [row for row in rows if wanted.accepts(row)]
        if len(result.jobs) > limit:
            result.complete = False
            break
        if not scan and result.looked_at >= MOST_LOOKED_AT:
            result.complete = False
            break
    del result.jobs[limit:]
    return result


def no_jobs(store: Store) -> bool:
    """Whether there is no job record. Some keys are looked at: where there are more, the answer is no."""
    (size,) = store.ask(("DBSIZE",))
    if not isinstance(size, int) or size > _KEYS_FOR_NONE:
        return False
    try:
        return next(_scanned(store), None) is None
    except exceptions.ResponseError:  # this user may not look at keys
        return False


def _scanned(store: Store) -> Iterator[str]:
    start = store.keys.job("")
    for key in scan_keys(store, glob_escaped(start) + "*", 0):
        yield key.removeprefix(start)


def _indexed(store: Store, wanted: JobFilter) -> Iterator[str]:
    if wanted.status in (None, JobStatus.ACTIVE.value):
        for held in active_ids(store).values():
            yield from held
    if wanted.status is None or wanted.status in _WAITING:
        for name in [wanted.queue] if wanted.queue else queue_names(store):
            yield from _members_of(store, store.keys.queue(name))
    if wanted.status in (None, JobStatus.FAILED.value):
        for name in dlq_names(store):
            for page in dead_ids(store, name, _PAGE):
                yield from page


def _members_of(store: Store, key: str) -> Iterator[str]:
    start = 0
    while True:
        (page,) = store.ask(("ZRANGE", key, start, start + _PAGE - 1))
        if isinstance(page, Exception) or not page:
            return
        yield from (text_of(each) for each in page)
        start += _PAGE
