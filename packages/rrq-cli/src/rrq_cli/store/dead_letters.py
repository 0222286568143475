"""Dead letter queues: listing and grouping what is in them."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import cast

from rrq_cli.shapes import DeadLetterGroup, DeadLetterStats, JobList, JobRow
from rrq_cli.store.client import Store
from rrq_cli.store.records import key_problem, read_rows, text_of
from rrq_protocol import InvalidName, validate_queue_name

__all__ = [
    "dead_ids",
    "dead_pages",
    "dlq_names",
    "fingerprint",
    "group_dead",
    "list_dead",
    "total_dead",
    "wrong_dlqs",
]

Accepts = Callable[[JobRow], bool]


def dlq_names(store: Store) -> list[str]:
    """Return the names of the known dead letter queues, that of the settings first."""
    (registered,) = store.ask(("SMEMBERS", store.keys.dlqs))
    names = set() if isinstance(registered, Exception) else {text_of(name) for name in registered}
    first = store.settings.default_dlq_name
    return [first, *sorted(name for name in names if name != first and _usable(name))]


def _usable(name: str) -> bool:
    try:
        validate_queue_name(name)
    except InvalidName:
        return False
    return True


def wrong_dlqs(store: Store, names: Sequence[str]) -> list[str]:
    """Return a sentence for each of the names whose key is no list."""
    replies = store.ask(*(("LLEN", store.keys.dlq(name)) for name in names))
    problems = (
        (store.keys.dlq(name), key_problem(reply, "list")) for name, reply in zip(names, replies, strict=True)
    )
    return [f"{key}: {problem}" for key, problem in problems if problem is not None]


def total_dead(store: Store, names: Sequence[str]) -> int:
    """Return how many ids these dead letter queues hold."""
    replies = store.ask(*(("LLEN", store.keys.dlq(name)) for name in names))
    return sum(reply for reply in replies if isinstance(reply, int))


def dead_pages(store: Store, name: str, size: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the ids of a dead letter queue in pages, newest first, each with the number of entries behind it;
    nothing where its key is no list.

    What comes in meanwhile is not among them. Where entries go meanwhile, others come twice; none is left
    out.
    """
    key = store.keys.dlq(name)
    (length,) = store.ask(("LLEN", key))
    left = length if isinstance(length, int) else 0
    while left > 0:
        behind = max(0, left - size)
        (page,) = store.ask(("LRANGE", key, -left, -behind - 1))
        if isinstance(page, Exception):
            return
        if page:
            yield behind, [text_of(each) for each in cast("list[bytes]", page)]
        left = behind


def dead_ids(store: Store, name: str, size: int) -> Iterator[list[str]]:
    """Yield the ids of a dead letter queue in pages, newest first; nothing where its key is no list."""
    yield from (page for _, page in dead_pages(store, name, size))


def _rows(store: Store, names: Iterable[str], batch_size: int) -> Iterator[tuple[str, JobRow]]:
    for name in names:
        for page in dead_ids(store, name, batch_size):
            for found in read_rows(store, page):
                if found.problem is None and found.status != "FAILED":
                    found.problem = f"listed as a dead letter, but its status is {found.status}"
                yield name, found


def list_dead(
    store: Store, names: Sequence[str], accepts: Accepts, *, limit: int, offset: int, batch_size: int
) -> JobList:
    """Return the dead letters that ``accepts`` takes, newest first, ``limit`` after the first ``offset``."""
    result = JobList(total=total_dead(store, names))
    skipped = 0
    for _, found in _rows(store, names, batch_size):
        if len(result.jobs) >= limit:
            result.complete = False
            break
        result.looked_at += 1
        if not accepts(found):
            continue
        if skipped < offset:
            skipped += 1
            continue
        result.jobs.append(found)
    return result


_VOLATILE = re.compile(
    r"""(?:0x)?[0-9a-f]{8,}(?:-[0-9a-f]{4,})*   # ids and addresses
    |\d+(?:[.,:]\d+)*                           # numbers, times
    |'[^']*'|"[^"]*"                            # quoted parts
    |[^\s()'",]*\.py\b                          # files
    """,
    re.VERBOSE | re.IGNORECASE,
)


def fingerprint(error: str | None) -> str:
    """Return an error's first line without what differs each time: numbers, ids, quoted parts."""
    if not error or not error.strip():
        return "(no error recorded)"
    first = error.strip().splitlines()[0][:300]
    return _VOLATILE.sub("…", first)


def group_dead(
    store: Store,
    names: Sequence[str],
    *,
    most: int,
    batch_size: int,
    accepts: Accepts = lambda row: True,
) -> DeadLetterStats:
    """Return dead letters that ``accepts`` takes, grouped by queue, function and kind of error; ``most`` are
    read (0: all).
    """
    stats = DeadLetterStats(total=total_dead(store, names), looked_at=0, complete=True)
    groups: dict[tuple[str | None, str | None, str], DeadLetterGroup] = {}
    for _, found in _rows(store, names, batch_size):
        if most and stats.looked_at >= most:
            stats.complete = False
            break
        stats.looked_at += 1
        if not accepts(found):
            continue
        kind = fingerprint(found.problem or found.last_error)
        key = (found.queue_name, found.function_name, kind)
        group = groups.setdefault(
            key,
            DeadLetterGroup(count=0, queue_name=key[0], function_name=key[1], error=kind, newest_id=found.id),
        )
        group.count += 1
        if found.finished_at and (group.newest_at is None or found.finished_at > group.newest_at):
            group.newest_at, group.newest_id = found.finished_at, found.id
    stats.groups = sorted(groups.values(), key=lambda group: -group.count)
    return stats
