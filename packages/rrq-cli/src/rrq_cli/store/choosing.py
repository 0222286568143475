"""Dead letters that something is to be done to: which are meant."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from rrq_cli.store.client import Store
from rrq_cli.store.dead_letters import dead_ids
from rrq_cli.store.jobs import JobFilter
from rrq_cli.store.records import read_named

__all__ = ["Chosen", "Progress", "choose_dead", "ids_of"]

_IDS_AT_A_TIME = 5000
"""Ids read in one round trip where no record is looked at."""

Progress = Callable[[float], None]

Chosen = dict[str, list[str]]
"""Ids by DLQ, newest first."""


def choose_dead(
    store: Store,
    names: Sequence[str],
    wanted: JobFilter | None = None,
    *,
    job_id: str | None = None,
    most: int | None = None,
    batch_size: int = 100,
    progress: Progress = lambda done: None,
) -> Chosen:
    """Return the newest dead letters that are wanted.

    Args:
        store: The connection.
        names: The DLQs to look into.
        wanted: Which queue and function; None reads no records.
        job_id: The only one that is wanted.
        most: How many; None is all that are there now.
        batch_size: Records read at a time.
        progress: Told how many entries were looked at since the last time.
    """
    chosen: Chosen = {}
    count = 0
    reading = wanted is not None and job_id is None
    for name, looked_at, page in _pages(store, names, batch_size if reading else _IDS_AT_A_TIME):
        ids = page if job_id is None else [each for each in page if each == job_id]
        kept = chosen.setdefault(name, [])
        for each in _accepted(store, ids, wanted):
            if count == most:
                return _some(chosen)
            kept.append(each)
            count += 1
        if count == most:
            break
        progress(looked_at)
    return _some(chosen)


def _pages(store: Store, names: Sequence[str], size: int) -> Iterator[tuple[str, int, list[str]]]:
    """Yield what the DLQs hold: the name, how many entries were read, and the ids that are new. An id may be
    listed twice, and whoever takes entries out meanwhile makes others be read again.
    """
    for name in names:
        seen: set[str] = set()
        for ids in dead_ids(store, name, size):
            yield name, len(ids), [each for each in dict.fromkeys(ids) if each not in seen]
            seen.update(ids)


def _accepted(store: Store, ids: Sequence[str], wanted: JobFilter | None) -> Iterable[str]:
    if wanted is None:
        return ids
    rows = read_named(store, ids)
    return [each for each, row in zip(ids, rows, strict=True) if wanted.accepts(row)]


def _some(chosen: Chosen) -> Chosen:
    return {name: ids for name, ids in chosen.items() if ids}


def ids_of(chosen: Chosen) -> list[str]:
    """Return the ids of those that were chosen."""
    return [each for ids in chosen.values() for each in ids]
