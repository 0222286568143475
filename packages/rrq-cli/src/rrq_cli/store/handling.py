"""Doing something to many dead letters: each is found where it stands in its list."""

from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from rrq_cli.store.choosing import Chosen, Progress
from rrq_cli.store.client import Store
from rrq_cli.store.dead_letters import dead_pages, total_dead
from rrq_cli.store.records import text_of
from rrq_protocol import ScriptCall
from rrq_protocol.transitions import RequeueReply

__all__ = ["Call", "carry_out", "ordered"]

_CALL_AT_MOST = 200
"""Jobs of one script call: some milliseconds, in which the server answers nobody else."""

_IDS_AT_A_TIME = 5000
"""Ids read in one round trip."""

_REACHES = (500, 20_000)
"""How many older entries are looked at for those that moved, at first and then."""

_ABOVE = 50
"""How many newer ones."""

_TRIES = 50
"""How often those of one call are looked for near where they stood, while others take entries."""

_ROUNDS = 10
"""How often what is left is looked for in the whole list without any of it being done."""

_OUT = {RequeueReply.OK, RequeueReply.GONE}

Call = Callable[[str, Sequence[str], Sequence[Sequence[int]]], ScriptCall[tuple[RequeueReply, ...]]]
"""Makes the call for one DLQ, ids and the places of each, oldest first."""


class _Entry(NamedTuple):
    """A dead letter and where it stands: how many older entries are behind it; newest first where an id is
    listed more than once.
    """

    id: str
    places: tuple[int, ...]


def carry_out(
    store: Store, chosen: Chosen, call: Call, *, batch_size: int = 100, progress: Progress = lambda done: None
) -> dict[str, int]:
    """Do it to the chosen ones, oldest first, and return how many got which answer.

    Each call is whole; whoever repeats the command goes on with what is left. Where others take entries out
    at the same time, those that moved are looked for again: near where they stood, and those not found there
    in the whole list, once all others are done. Only what is in it no more is told ``not_in_dlq``;
    ``moved`` is what is left in it, because it was somewhere else each time.
    """
    answers: Counter[str] = Counter()
    for name, newest_first in chosen.items():
        left, idle, before = newest_first, 0, list[_Entry]()
        while left:
            entries = _standing(store, name, left)
            answers[RequeueReply.NOT_IN_DLQ.value] += len(left) - len(entries)
            if len(entries) < len(left):
                progress(len(left) - len(entries))
            if idle == _ROUNDS or entries == before:  # nobody moved them, and still they cannot be taken
                answers[RequeueReply.MOVED.value] += len(entries)
                progress(len(entries))
                break
            walk = _Walk(store, name, call, answers, progress)
            left = walk.through(entries, min(batch_size, _CALL_AT_MOST))
            idle = idle + 1 if len(left) == len(entries) else 0
            before = entries
    return ordered(answers)


def _standing(store: Store, name: str, ids: Iterable[str]) -> list[_Entry]:
    """Return where these stand in the whole list now, oldest first; those that are not in it are left out."""
    wanted, found = set(ids), dict[str, list[int]]()
    before: list[str] = []
    length = 0
    for behind, page in dead_pages(store, name, _IDS_AT_A_TIME):
        now = total_dead(store, [name])
        again = _read_again(before, page) if now < length else 0
        _note(found, wanted, page[again:], behind)
        before, length = page, max(now, length)
    return _oldest_first(found)


def _read_again(before: Sequence[str], page: Sequence[str]) -> int:
    """Return how many of a page were the last ones of the page before it: so many older ones, or nearly, were
    taken out meanwhile.
    """
    stood = {each: at for at, each in enumerate(before)}
    last, count = -1, 0
    for each in page:
        if (at := stood.get(each, -1)) <= last:
            break
        last, count = at, count + 1
    return count if last == len(before) - 1 else 0


def _note(found: dict[str, list[int]], wanted: set[str], page: Sequence[str], behind: int) -> None:
    last = behind + len(page) - 1
    for at, each in enumerate(page):
        if each in wanted:
            found.setdefault(each, []).append(last - at)


def _oldest_first(found: dict[str, list[int]]) -> list[_Entry]:
    entries = [_Entry(each, tuple(sorted(set(places), reverse=True))) for each, places in found.items()]
    return sorted(entries, key=lambda entry: entry.places[0])


class _Walk:
    """One way through the entries of a DLQ, from the oldest to the newest."""

    def __init__(
        self, store: Store, name: str, call: Call, answers: "Counter[str]", progress: Progress
    ) -> None:
        self._store, self._name, self._call = store, name, call
        self._answers, self._progress = answers, progress
        self._taken: list[int] = []  # places, as they were at the start, that are free now; they rise
        self._drift = 0  # how many older entries others took out, as far as is known
        self._lost: list[str] = []

    def through(self, entries: Sequence[_Entry], step: int) -> list[str]:
        """Do it to all, and return the ids of those that were not found again, newest first."""
        todo = deque(entries)
        while todo:
            page = [todo.popleft() for _ in range(min(step, len(todo)))]
            todo.extendleft(reversed(self._page(page)))
        return self._lost[::-1]

    def _page(self, page: Sequence[_Entry]) -> list[_Entry]:
        """Do it to some, and return those that are to be tried again before the next ones."""
        as_read = {entry.id: entry for entry in page}
        now = [_Entry(entry.id, self._expected(entry)) for entry in page]
        later: list[_Entry] = []
        for _ in range(_TRIES):
            moved = self._do(now, as_read)
            if not moved:
                return later
            reach = moved[0].places[0] + _IDS_AT_A_TIME
            near = [entry for entry in moved if entry.places[0] < reach]
            later[:0] = [as_read[entry.id] for entry in moved[len(near) :]]
            now = self._near(near)
            found = {entry.id for entry in now}
            self._lost += [entry.id for entry in near if entry.id not in found]
            if not now:
                return later
            place = as_read[now[-1].id].places[0]
            self._drift = place - bisect_left(self._taken, place) - now[-1].places[0]
        self._lost += [entry.id for entry in now]
        return later

    def _expected(self, entry: _Entry) -> tuple[int, ...]:
        """Return where an entry stands by what is known of those that were taken out since it was read."""
        return tuple(max(0, place - bisect_left(self._taken, place) - self._drift) for place in entry.places)

    def _do(self, entries: Sequence[_Entry], as_read: Mapping[str, _Entry]) -> list[_Entry]:
        """Do it to those that stand where it is said, and return the others."""
        call = self._call(self._name, [entry.id for entry in entries], [entry.places for entry in entries])
        replies = list(zip(entries, self._store.run(call), strict=True))
        moved = [entry for entry, reply in replies if reply is RequeueReply.MOVED]
        for entry, reply in replies:
            if reply in _OUT:
                for place in as_read[entry.id].places:
                    insort(self._taken, place)
        self._answers.update(reply.value for _, reply in replies if reply is not RequeueReply.MOVED)
        if len(moved) < len(entries):
            self._progress(len(entries) - len(moved))
        return moved

    def _near(self, moved: Sequence[_Entry]) -> list[_Entry]:
        """Return where these stand now, as far as they are seen near where they were looked for.

        None moves further than its newer neighbours. So where one is seen near, all are that are still there.
        """
        first, top = moved[0].places[0], moved[-1].places[0] + _ABOVE
        found: dict[str, list[int]] = {}
        behind, shifts = first, list[int]()
        for reach in _REACHES:
            behind = max(0, first - reach)
            page = self._store.ask(("LRANGE", self._store.keys.dlq(self._name), -top - 1, -behind - 1))[0]
            if isinstance(page, Exception):
                return []
            found.clear()
            _note(found, {entry.id for entry in moved}, [text_of(each) for each in page], behind)
            shifts = [entry.places[0] - found[entry.id][0] for entry in moved if entry.id in found]
            if shifts and max(shifts) <= reach:
                break
        lost = self._older(moved, found, behind + max([0, *shifts]))
        # Those that were told to stand where they are seen cannot be taken there.
        lost |= {entry.id for entry in moved if list(entry.places) == found.get(entry.id)}
        return [entry for entry in _oldest_first(found) if entry.id not in lost]

    def _older(self, moved: Sequence[_Entry], found: dict[str, list[int]], behind: int) -> set[str]:
        """Look for further entries of the ids that are found, those that stood before ``behind``; return the
        ids of which not all are seen.
        """
        wanted = [
            (entry.id, place)
            for entry in moved
            if entry.id in found
            for place in entry.places
            if place < behind
        ]
        key = self._store.keys.dlq(self._name)
        froms = [max(0, place - _REACHES[0]) for _, place in wanted]
        pages = self._store.ask(
            *(
                ("LRANGE", key, -place - _ABOVE - 1, -begin - 1)
                for (_, place), begin in zip(wanted, froms, strict=True)
            )
        )
        for (job_id, _), begin, page in zip(wanted, froms, pages, strict=True):
            if not isinstance(page, Exception):
                _note(found, {job_id}, [text_of(each) for each in page], begin)
        return {
            entry.id for entry in moved if entry.id in found and len(set(found[entry.id])) < len(entry.places)
        }


def ordered(answers: "Counter[str]") -> dict[str, int]:
    """Return answers and their numbers in the order of their kinds, without those that nobody got."""
    return {reply.value: answers[reply.value] for reply in RequeueReply if answers[reply.value]}
