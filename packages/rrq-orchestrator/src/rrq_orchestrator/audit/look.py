"""Reading what the invariants are about, in bounded steps, without doing I/O.

A reading is a generator: it yields batches of commands, is sent their replies (RESP 2, raw, errors as
values), and returns its outcome. Who drives it decides how fast (:mod:`rrq_orchestrator.audit.drive`).
Nothing is held that grows with the number of jobs but eight bytes per dead letter.

Keys change while they are read, so a finding is worth acting on only if :meth:`Look.again` finds it again.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rrq_orchestrator.audit.batches import (
    ORDINARY,
    Batch,
    Reading,
    raw,
    seen_in,
    text,
    value_of,
    wrong_type,
)
from rrq_orchestrator.audit.counters import counters
from rrq_orchestrator.audit.dlq_book import DlqBook
from rrq_orchestrator.audit.facts import FIELDS, LIVE, WAITING, EntryFacts, JobFacts, Rules, Seen, queue_named
from rrq_orchestrator.audit.families import Families, pattern
from rrq_orchestrator.audit.findings import Finding, Report, Tally
from rrq_orchestrator.audit.judge import (
    judge_entry,
    judge_events,
    judge_job,
    judge_owner,
    judge_quarantine,
    judge_type,
    judge_unique,
    record_problems,
)
from rrq_orchestrator.audit.payloads import unrunnable
from rrq_orchestrator.audit.unique_keys import keep_keys
from rrq_protocol import JobStatus, Keyspace

__all__ = ["Look"]

_EVENTS = 20
_PAYLOADS_READ = 100_000
_PLACES = ("@held", "@error", "@size", "@key")
_QUARANTINED = 100
Note = Callable[[Finding], None]


class Look:
    """One observation of a keyspace.

    Args:
        keyspace: The keys.
        rules: What is known of the installation.
        step: Keys or entries per batch.
        most: Findings kept.
        payloads: Judge jobs that wait as their claim will, the first 100,000 with their payloads (F83).
        keys: Make the unique keys of jobs that have not ended last (I9); without it, nothing is written.
    """

    def __init__(
        self,
        keyspace: Keyspace,
        rules: Rules,
        *,
        step: int = 500,
        most: int = 10_000,
        payloads: bool = False,
        keys: bool = False,
    ) -> None:
        self._payloads, self._unread, self._keep = payloads, _PAYLOADS_READ, keys
        self._keys, self._rules, self._step, self._most = keyspace, rules, step, most
        self._families = Families(keyspace)
        self._indexes: dict[str, set[str]] = {}
        self._listed: set[str] = set()
        self._leased: frozenset[str] = frozenset()
        self._dead = DlqBook()

    def everything(self) -> Reading[Report]:
        """Look at all keys."""
        tally, self._unread = Tally(self._most), _PAYLOADS_READ
        yield from self._names(("queue", "active", "dlq", "stats"))
        yield from self._owners()
        yield from self._dead_letters(tally.add)
        for family in ("queue", "active"):
            for name in sorted(self._indexes[family]):
                yield from self._index(family, name, tally.add)
        jobs, keys, cursor = 0, 0, b"0"
        while True:
            page, cursor = yield from self._scan(cursor)
            keys += len(page)
            jobs += yield from self._page(page, tally.add)
            if cursor == b"0":
                break
        if self._rules.conserved:
            yield from self._counters(tally.add)
        return Report(tally.findings, tally.left_out, keys, jobs)

    def again(self, findings: Sequence[Finding]) -> Reading[tuple[Finding, ...]]:
        """Look at the subjects of findings once more; return those that are found as they were.

        Which queues and DLQs there are is remembered from the last look at everything, unless they are what
        it is about.
        """
        tally, self._unread = Tally(2 * len(findings) + self._most), _PAYLOADS_READ
        by_family: dict[str, list[tuple[str, str | None]]] = {}
        for each in findings:
            if (placed := self._families.of(each.key)) is not None:
                by_family.setdefault(placed[0].name, []).append((placed[1], each.job_id))
        if not self._indexes or any(each.rule == "I13" for each in findings):
            yield from self._names(("queue", "active", "dlq", "stats"))
        yield from self._owners()
        if any(each.rule in {"I2", "I8"} for each in findings):
            yield from self._dead_letters(tally.add)
        for family in ("queue", "active"):
            yield from self._entries_again(family, by_family.pop(family, []), tally.add)
        for start in range(0, len(findings), self._step):
            page = dict.fromkeys(raw(each.key) for each in findings[start : start + self._step])
            yield from self._page(list(page), tally.add)
        if any(each.rule == "I13" for each in findings):
            yield from self._counters(tally.add)
        still = {each.identity for each in tally.findings}
        return tuple(each for each in findings if each.identity in still)

    # What there is.

    def _scan(self, cursor: bytes) -> Reading[tuple[list[bytes], bytes]]:
        command = ("SCAN", cursor, "MATCH", pattern(self._keys.prefix), "COUNT", self._step)
        (reply,) = yield [command]
        following, page = value_of(reply, command)
        return list(page), following

    def _names(self, families: Iterable[str]) -> Reading[None]:
        """Learn which indexes there are."""
        self._indexes = {family: set() for family in families}
        cursor = b"0"
        while True:
            page, cursor = yield from self._scan(cursor)
            for key in page:
                placed = self._families.of(text(key))
                if placed is not None and placed[0].name in self._indexes:
                    self._indexes[placed[0].name].add(placed[1])
            if cursor == b"0":
                break

    def _owners(self) -> Reading[None]:
        """Learn who is listed as alive or being reaped."""
        commands: Batch = [("ZRANGE", key, 0, -1) for key in (self._keys.workers, self._keys.reaping)]
        replies = yield commands
        self._listed = {
            text(name)
            for reply, command in zip(replies, commands, strict=True)
            for name in value_of(reply, command, wrong_type=[])
        }
        self._leased = frozenset(self._listed)
        # One of the public line is in neither list; while it lives it has a health report.
        strangers = sorted(self._indexes["active"] - self._listed)
        for start in range(0, len(strangers), self._step):
            page = strangers[start : start + self._step]
            commands = [("EXISTS", raw(self._keys.health(name))) for name in page]
            replies = yield commands
            for name, reply, command in zip(page, replies, commands, strict=True):
                if value_of(reply, command):
                    self._listed.add(name)

    # Entries of indexes.

    def _index(self, family: str, name: str, note: Note) -> Reading[None]:
        key = raw(self._keys.queue(name) if family == "queue" else self._keys.active(name))
        cursor, entries = b"0", False
        while True:
            command = ("ZSCAN", key, cursor, "COUNT", self._step)
            (reply,) = yield [command]
            cursor, flat = value_of(reply, command, wrong_type=(b"0", []))
            pairs = [(text(flat[i]), float(flat[i + 1])) for i in range(0, len(flat), 2)]
            entries = entries or bool(pairs)
            # A small index comes whole, whatever COUNT says.
            for start in range(0, len(pairs), self._step):
                yield from self._entries(family, name, pairs[start : start + self._step], note)
            if cursor == b"0":
                break
        if family == "active" and entries:
            self._note(judge_owner(name, name in self._listed, self._keys), note)

    def _entries(
        self, family: str, name: str, pairs: Sequence[tuple[str, float]], note: Note
    ) -> Reading[None]:
        seen = yield from self._seen([job_id for job_id, _ in pairs])
        for job_id, score in pairs:
            if (record := seen[job_id]) is not None:
                entry = EntryFacts(family, name, job_id, record, score)
                self._note(judge_entry(entry, self._keys, self._rules), note)

    def _entries_again(
        self, family: str, wanted: Sequence[tuple[str, str | None]], note: Note
    ) -> Reading[None]:
        key_of = self._keys.queue if family == "queue" else self._keys.active
        for name, job_id in wanted:
            key = raw(key_of(name))
            if job_id is None:
                (reply,) = yield [("ZCARD", key)]
                if not wrong_type(reply) and value_of(reply, ("ZCARD", key)):
                    self._note(judge_owner(name, name in self._listed, self._keys), note)
                continue
            command = ("ZSCORE", key, raw(job_id))
            (score,) = yield [command]
            if (found := value_of(score, command, wrong_type=None)) is not None:
                yield from self._entries(family, name, [(job_id, float(found))], note)

    def _dead_letters(self, note: Note) -> Reading[None]:
        self._dead = DlqBook()
        for name in sorted(self._indexes["dlq"]):
            key, last = raw(self._keys.dlq(name)), -1
            while True:
                # From the tail: new dead letters come in at the head and move nothing there.
                command = ("LRANGE", key, last - self._step + 1, last)
                (reply,) = yield [command]
                ids = [text(each) for each in value_of(reply, command, wrong_type=[])]
                self._dead.add(name, ids)
                yield from self._entries("dlq", name, [(each, 0.0) for each in dict.fromkeys(ids)], note)
                if len(ids) < self._step:
                    break
                last -= self._step
        self._dead.seal()

    def _seen(self, job_ids: Iterable[str]) -> Reading[dict[str, Seen | None]]:
        """Return the records of jobs as their indexes meet them; None for keys of another type."""
        ids = list(dict.fromkeys(job_ids))
        if not ids:
            return {}
        keys = [raw(self._keys.job(each)) for each in ids]
        commands: Batch = [("HMGET", key, *ORDINARY) for key in keys]
        replies = yield commands
        found = {each: seen_in(r, c) for each, r, c in zip(ids, replies, commands, strict=True)}
        # Nothing of what is asked for may still be a record, of other fields.
        blank = [each for each in ids if found[each] == Seen(there=True)]
        if blank:
            replies = yield [("EXISTS", raw(self._keys.job(each))) for each in blank]
            found.update((each, Seen()) for each, reply in zip(blank, replies, strict=True) if reply == 0)
        return found

    # Keys, page by page.

    def _page(self, page: Sequence[bytes], note: Note) -> Reading[int]:
        """Judge keys of any families; return how many of them are jobs."""
        by_family: dict[str, list[str]] = {}
        others: list[tuple[bytes, str, str]] = []
        for key in page:
            placed = self._families.of(text(key))
            if placed is None:
                continue
            family, name = placed
            if family.name == "job":
                by_family.setdefault("job", []).append(name)
            else:
                others.append((key, family.kind, family.name))
        jobs = by_family.get("job", [])
        if jobs:
            yield from self._jobs(jobs, note)
        if others:
            commands: Batch = [("TYPE", key) for key, _, _ in others]
            kinds = yield commands
            for (key, expected, name), reply, command in zip(others, kinds, commands, strict=True):
                kind = text(value_of(reply, command))
                self._note(judge_type(text(key), expected, kind), note)
                if kind == expected:
                    by_family.setdefault(name, []).append(text(key))
        yield from self._unique_keys([*by_family.get("idempotency", ()), *by_family.get("unique", ())], note)
        yield from self._events(by_family.get("events", ()), note)
        if "quarantine" in by_family:
            command = ("LRANGE", self._keys.quarantine, 0, _QUARANTINED - 1)
            (reply,) = yield [command]
            self._note(judge_quarantine([text(each) for each in value_of(reply, command)], self._keys), note)
        return len(jobs)

    def _jobs(self, job_ids: Sequence[str], note: Note) -> Reading[None]:
        commands: Batch = []
        for key in (raw(self._keys.job(each)) for each in job_ids):
            commands += [("HMGET", key, *FIELDS), ("PTTL", key)]
        replies = yield commands
        known: list[tuple[str, dict[str, str], bool]] = []
        spoilt: list[str] = []
        for at, job_id in enumerate(job_ids):
            fields, ttl = replies[2 * at], value_of(replies[2 * at + 1], commands[2 * at + 1])
            if wrong_type(fields):
                spoilt.append(job_id)
            elif ttl != -2:  # -2: it is gone by now
                values = value_of(fields, commands[2 * at])
                given = {n: text(v) for n, v in zip(FIELDS, values, strict=True) if v is not None}
                known.append((job_id, given, ttl >= 0))
        yield from self._judge_jobs(known, note)
        yield from keep_keys(known if self._keep else (), self._keys)
        for job_id in spoilt:
            command = ("TYPE", raw(self._keys.job(job_id)))
            (kind,) = yield [command]
            self._note(judge_type(self._keys.job(job_id), "hash", text(value_of(kind, command))), note)

    def _judge_jobs(self, known: Sequence[tuple[str, dict[str, str], bool]], note: Note) -> Reading[None]:
        commands: Batch = []
        asked: list[tuple[int, str]] = []
        for at, (job_id, fields, expires) in enumerate(known):
            for place, command in self._where(job_id, fields, expires):
                commands.append(command)
                asked.append((at, place))
        replies = (yield commands) if commands else []
        places: dict[int, list[tuple[str, Any]]] = {}
        for (at, place), reply, command in zip(asked, replies, commands, strict=True):
            found = value_of(reply, command, wrong_type=None)
            if found is not None:
                places.setdefault(at, []).append((place, found))
        sizes = {at: found for at, answers in places.items() for place, found in answers if place == "@size"}
        waiting = [
            (job_id, fields, sizes.get(at))
            for at, (job_id, fields, _) in enumerate(known)
            if self._payloads and fields.get("status") in WAITING
        ]
        unfit = (yield from unrunnable(waiting, self._keys, self._rules)) if waiting else {}
        for at, (job_id, fields, expires) in enumerate(known):
            answers = places.get(at, [])
            facts = JobFacts(
                job_id, fields, expires,
                queues=tuple(place for place, _ in answers if place not in _PLACES),
                held=any(place == "@held" for place, _ in answers),
                dlqs=self._dead.places(job_id) if fields.get("status") == JobStatus.FAILED.value else (),
                malformed=any(p == "@error" and text(v).startswith("malformed: ") for p, v in answers),
                unrunnable=unfit.get(job_id, ""),
                keyless=("@key", 0) in answers,
                leased=fields.get("worker_id") in self._leased,
            )  # fmt: skip
            self._note(judge_job(facts, self._keys, self._rules), note)

    def _where(
        self, job_id: str, fields: dict[str, str], expires: bool
    ) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what to ask to judge a job, place and command: a queue, ``@held``, ``@size``, ``@error``,
        ``@key``.
        """
        status = fields.get("status")
        if status in LIVE and (unique_key := fields.get("job_unique_key")):
            yield "@key", ("EXISTS", raw(self._keys.idempotency(unique_key)))
        if status in WAITING:
            if self._payloads and self._unread:
                self._unread -= 1
                yield "@size", ("HSTRLEN", raw(self._keys.job(job_id)), "job_params")
            named = queue_named(fields.get("queue_name", ""), self._keys.prefix)
            for queue in [named] if named is not None else sorted(self._indexes["queue"]):
                yield queue, ("ZSCORE", raw(self._keys.queue(queue)), raw(job_id))
        elif status == JobStatus.ACTIVE.value:
            owner = fields.get("worker_id", "")
            yield "@held", ("ZSCORE", raw(self._keys.active(owner)), raw(job_id))
        elif status == JobStatus.FAILED.value:
            facts = JobFacts(job_id, fields, expires)
            if any(True for _ in record_problems(facts, self._keys, self._rules)):
                yield "@error", ("HGET", raw(self._keys.job(job_id)), "last_error")

    def _unique_keys(self, keys: Sequence[str], note: Note) -> Reading[None]:
        if not keys:
            return
        commands: Batch = [("GET", raw(key)) for key in keys]
        replies = yield commands
        holders = [
            (key, text(holder))
            for key, reply, command in zip(keys, replies, commands, strict=True)
            if (holder := value_of(reply, command, wrong_type=None)) is not None
        ]
        seen = yield from self._seen([holder for _, holder in holders])
        for key, holder in holders:
            if (record := seen[holder]) is not None:
                self._note(judge_unique(key, holder, record, self._keys), note)

    def _events(self, keys: Sequence[str], note: Note) -> Reading[None]:
        if not keys:
            return
        commands: Batch = [("XRANGE", raw(key), "-", "+", "COUNT", _EVENTS) for key in keys]
        replies = yield commands
        ids = [key.removeprefix(self._keys.events("")) for key in keys]
        seen = yield from self._seen(ids)
        for job_id, reply, command in zip(ids, replies, commands, strict=True):
            flats = [fields for _, fields in value_of(reply, command, wrong_type=[])]
            events = [dict(zip(flat[::2], flat[1::2], strict=True)) for flat in flats]
            found = [text(event[b"status"]) for event in events if b"status" in event]
            if (record := seen[job_id]) is not None:
                self._note(judge_events(job_id, found, record, self._keys, self._rules), note)

    def _counters(self, note: Note) -> Reading[None]:
        self._note((yield from counters(self._indexes, self._keys)), note)

    @staticmethod
    def _note(findings: Iterable[Finding], note: Note) -> None:
        for each in findings:
            note(each)
