"""Dead letters that something is to be done to: which are meant, and doing it, many in one call."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from rrq_cli.store.client import Store
from rrq_cli.store.dead_letters import dead_pages
from rrq_cli.store.jobs import JobFilter
from rrq_cli.store.records import read_named
from rrq_protocol import ScriptCall
from rrq_protocol.transitions import RequeueReply

__all__ = ["Call", "Chosen", "DeadLetter", "Progress", "carry_out", "choose_dead", "ids_of", "ordered"]

_IDS_AT_A_TIME = 5000
"""Ids read in one round trip where no record is looked at."""

_CALL_AT_MOST = 200
"""Jobs of one script call: some milliseconds, in which the server answers nobody else."""

_OUT = {RequeueReply.OK, RequeueReply.GONE}
Progress = Callable[[float], None]


class DeadLetter(NamedTuple):
    """An entry of a DLQ.

    Attributes:
        id: The job.
        place: How many older entries stood behind it when it was read.
    """

    id: str
    place: int


Chosen = dict[str, list[DeadLetter]]
"""Entries by DLQ, newest first."""

Call = Callable[[str, Sequence[str], Sequence[int]], ScriptCall[tuple[RequeueReply, ...]]]
"""Makes the call for one DLQ, ids and their places, oldest first."""


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
        entries = page if job_id is None else [entry for entry in page if entry.id == job_id]
        kept = chosen.setdefault(name, [])
        for entry in _accepted(store, entries, wanted):
            if count == most:
                return _some(chosen)
            kept.append(entry)
            count += 1
        if count == most:
            break
        progress(looked_at)
    return _some(chosen)


def _pages(store: Store, names: Sequence[str], size: int) -> Iterator[tuple[str, int, list[DeadLetter]]]:
    """Yield what the DLQs hold: the name, how many entries were read, and those that are new. An id may be
    listed twice, and whoever takes entries out meanwhile makes others be read again.
    """
    for name in names:
        seen: set[str] = set()
        for behind, ids in dead_pages(store, name, size):
            last = behind + len(ids) - 1
            page = [DeadLetter(each, last - at) for at, each in enumerate(ids) if each not in seen]
            yield name, len(ids), list({entry.id: entry for entry in page}.values())
            seen.update(ids)


def _accepted(store: Store, entries: Sequence[DeadLetter], wanted: JobFilter | None) -> Iterable[DeadLetter]:
    if wanted is None:
        return entries
    rows = read_named(store, [entry.id for entry in entries])
    return [entry for entry, row in zip(entries, rows, strict=True) if wanted.accepts(row)]


def _some(chosen: Chosen) -> Chosen:
    return {name: entries for name, entries in chosen.items() if entries}


def ids_of(chosen: Chosen) -> list[str]:
    """Return the ids of those that were chosen."""
    return [entry.id for entries in chosen.values() for entry in entries]


def carry_out(
    store: Store, chosen: Chosen, call: Call, *, batch_size: int = 100, progress: Progress = lambda done: None
) -> dict[str, int]:
    """Do it to the chosen ones, oldest first, and return how many got which answer.

    Each call is whole; whoever repeats the command goes on with what is left. Where others take entries out
    at the same time, those that moved are looked for again.
    """
    answers: Counter[str] = Counter()
    step = min(batch_size, _CALL_AT_MOST)
    for name, newest_first in chosen.items():
        left, taken, fresh = newest_first[::-1], 0, False
        at = 0
        while page := left[at : at + step]:
            at += len(page)
            replies = store.run(
                call(name, [entry.id for entry in page], [entry.place - taken for entry in page])
            )
            taken += sum(reply in _OUT for reply in replies)
            moved = [entry for entry, reply in zip(page, replies, strict=True) if reply is RequeueReply.MOVED]
            answers.update(reply.value for reply in replies if reply is not RequeueReply.MOVED)
            if moved and not fresh:
                wanted = [*moved, *left[at:]]
                left, at, taken = _found_again(store, name, wanted), 0, 0
                lost = len(wanted) - len(left)
            else:  # looked for a moment ago, and moved again: whoever is quicker may have them
                lost = len(moved)
            fresh = bool(moved) and not fresh
            answers[RequeueReply.NOT_IN_DLQ.value] += lost
            progress(len(page) - len(moved) + lost)
    return ordered(answers)


def _found_again(store: Store, name: str, entries: Sequence[DeadLetter]) -> list[DeadLetter]:
    """Return where the entries stand now, oldest first, without those that are no longer there."""
    wanted = {entry.id for entry in entries}
    pages = _pages(store, [name], _IDS_AT_A_TIME)
    return [entry for _, _, page in pages for entry in page if entry.id in wanted][::-1]


def ordered(answers: "Counter[str]") -> dict[str, int]:
    """Return answers and their numbers in the order of their kinds, without those that nobody got."""
    return {reply.value: answers[reply.value] for reply in RequeueReply if answers[reply.value]}
