"""The key-space auditor: does what Redis holds fit together? (RELIABILITY.md 2.3, I1 to I4 and I7 to I13.)

:func:`audit` reads every key of a keyspace and returns what is wrong as data. It writes nothing. It reads in
several steps, so under traffic a finding counts only when a second look, a while later, finds the same.
:func:`judge` is the part without I/O, for readers that have the keys already.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import redis

from rrq_protocol import JobStatus, Keyspace

__all__ = ["Finding", "Rules", "Stored", "audit", "judge", "read_keys"]

_STEP = 500
_LIVE = frozenset({JobStatus.PENDING.value, JobStatus.RETRYING.value, JobStatus.ACTIVE.value})
_WAITING = _LIVE - {JobStatus.ACTIVE.value}
_REQUIRED = ("id", "function_name", "enqueue_time", "status")
_ACCEPTED = ("enqueued", "requeued")
_ENDED = ("completed", "failed", "cancelled", "purged", "lost")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        rule: The invariant that does not hold (``"I1"``), or ``"F40"`` for a key of the wrong type.
        key: The key at which it shows.
        problem: What was expected and what is there.
        job_id: The job concerned, if one is.
    """

    rule: str
    key: str
    problem: str
    job_id: str | None = None


@dataclass(frozen=True)
class Rules:
    """What is known of the installation.

    Attributes:
        latest_ms: The latest time a job may be due; the scripts allow none after the year 2199 (I11).
        max_crashes: The crash budget; None does not check it.
        job_events: Every terminal job has its terminal event (I12); otherwise only events that are there are
            checked.
        conserved: All producers count and nobody deletes keys, so that the counters must add up (I13).
    """

    latest_ms: float = 7_258_118_400_000
    max_crashes: int | None = None
    job_events: bool = False
    conserved: bool = False


@dataclass(frozen=True)
class Stored:
    """One key as it was read: its type, whether it expires, and its content in Python's terms."""

    kind: str
    expires: bool
    value: Any


class _View:
    """The keys, sorted by family: contents by the name that follows the family's prefix."""

    def __init__(self, keys: Mapping[str, Stored], keyspace: Keyspace) -> None:
        self.jobs: dict[str, Stored] = {}
        self.queues: dict[str, dict[str, float]] = {}
        self.active: dict[str, dict[str, float]] = {}
        self.dlqs: dict[str, list[str]] = {}
        self.events: dict[str, list[dict[str, str]]] = {}
        self.stats: dict[str, dict[str, str]] = {}
        self.unique: dict[str, str] = {}
        self.known_owners: set[str] = set()
        self.broken: list[Finding] = []
        families = _families(keyspace)
        for key, stored in keys.items():
            for start, kind, family in families:
                if key == start or (start.endswith(":") and key.startswith(start)):
                    if stored.kind == kind:
                        self._put(family, key, key[len(start) :], stored)
                    else:
                        self.broken.append(Finding("F40", key, f"expected a {kind}, found a {stored.kind}"))
                    break

    def _put(self, family: str, key: str, name: str, stored: Stored) -> None:
        match family:
            case "jobs":
                self.jobs[name] = stored
            case "unique":
                self.unique[key] = stored.value
            case "owners":
                self.known_owners.update(stored.value)
            case "quarantine":
                ids = ", ".join(sorted(set(stored.value)))
                self.broken.append(
                    Finding("F40", key, f"ids whose key, queue or DLQ could not be used: {ids:.200}")
                )
            case "queues" | "active" | "dlqs" | "events" | "stats":
                getattr(self, family)[name] = stored.value

    def status(self, job_id: str) -> str | None:
        """Return the status of a job, None where there is no record."""
        stored = self.jobs.get(job_id)
        return None if stored is None else stored.value.get("status", "")


def _families(keyspace: Keyspace) -> tuple[tuple[str, str, str], ...]:
    """Return what keys of a family start with, their type, and the part of the view they go to."""
    return (
        (keyspace.job(""), "hash", "jobs"),
        (keyspace.queue(""), "zset", "queues"),
        (keyspace.active(""), "zset", "active"),
        (keyspace.dlq(""), "list", "dlqs"),
        (keyspace.events(""), "stream", "events"),
        (keyspace.idempotency(""), "string", "unique"),
        (keyspace.lock_unique(""), "string", "unique"),
        (keyspace.stats(""), "hash", "stats"),
        (keyspace.workers, "zset", "owners"),
        (keyspace.reaping, "zset", "owners"),
        (keyspace.quarantine, "list", "quarantine"),
        (keyspace.health(""), "string", ""),
        (keyspace.control(""), "list", ""),
        (keyspace.wake(""), "list", ""),
        (keyspace.queues, "set", ""),
        (keyspace.dlqs, "set", ""),
        (keyspace.paused, "set", ""),
    )


def audit(
    client: "redis.Redis",
    keyspace: Keyspace,
    *,
    max_crashes: int | None = None,
    job_events: bool = False,
    conserved: bool = False,
) -> tuple[Finding, ...]:
    """Return everything that is wrong with the keys of ``keyspace``; see :class:`Rules` for the options."""
    rules = Rules(max_crashes=max_crashes, job_events=job_events, conserved=conserved)
    return judge(read_keys(client, keyspace), keyspace, rules)


def judge(keys: Mapping[str, Stored], keyspace: Keyspace, rules: Rules) -> tuple[Finding, ...]:
    """Return everything that is wrong with these keys."""
    view = _View(keys, keyspace)
    checks = (
        _records,
        _places,
        _dead_letters,
        _indexes,
        _owners,
        _unique_keys,
        _schedule,
        _events,
        _conservation,
    )
    found = list(view.broken)
    for check in checks:
        found += check(view, keyspace, rules)
    return tuple(found)


# Reading.


def read_keys(client: "redis.Redis", keyspace: Keyspace) -> dict[str, Stored]:
    """Return all keys of ``keyspace`` with their contents; uses SCAN, so the server is never held up."""
    pattern = "".join(f"\\{char}" if char in "*?[]^\\" else char for char in keyspace.prefix) + ":*"
    names = sorted(set(client.scan_iter(match=pattern, count=1000)))
    keys: dict[str, Stored] = {}
    for start in range(0, len(names), _STEP):
        keys.update(_read_some(client, names[start : start + _STEP]))
    return keys


def _read_some(client: "redis.Redis", names: list[bytes]) -> Iterator[tuple[str, Stored]]:
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.type(name)
            pipe.pttl(name)
        facts = pipe.execute()
        kinds = [_text(kind) for kind in facts[::2]]
        for name, kind in zip(names, kinds, strict=True):
            _ask(pipe, kind, name)
        values = pipe.execute(raise_on_error=False)
    for name, kind, ttl, value in zip(names, kinds, facts[1::2], values, strict=True):
        if kind != "none" and not isinstance(value, Exception):
            yield _text(name), Stored(kind, ttl >= 0, _plain(kind, value))


def _ask(pipe: "redis.client.Pipeline", kind: str, name: bytes) -> None:
    match kind:
        case "hash":
            pipe.hgetall(name)
        case "zset":
            pipe.zrange(name, 0, -1, withscores=True)
        case "list":
            pipe.lrange(name, 0, -1)
        case "set":
            pipe.smembers(name)
        case "stream":
            pipe.xrange(name)
        case "string":
            pipe.get(name)
        case _:
            pipe.type(name)


def _text(raw: object) -> str:
    return raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else str(raw)


def _plain(kind: str, value: Any) -> Any:
    match kind:
        case "hash":
            return {_text(name): _text(each) for name, each in value.items()}
        case "zset":
            return {_text(member): float(score) for member, score in value}
        case "list":
            return [_text(each) for each in value]
        case "set":
            return {_text(each) for each in value}
        case "stream":
            return [{_text(name): _text(each) for name, each in entry.items()} for _, entry in value]
        case _:
            return _text(value)


# The invariants. Each check yields what breaks one or two of them.


def _set_aside(record: Mapping[str, str]) -> bool:
    """Return whether a claim found the record unreadable; such a one is kept as it was (F83)."""
    failed = record.get("status") == JobStatus.FAILED.value
    return failed and record.get("last_error", "").startswith("malformed: ")


def _records(view: _View, keyspace: Keyspace, rules: Rules) -> Iterator[Finding]:
    for job_id, stored in view.jobs.items():
        key, record = keyspace.job(job_id), stored.value
        if _set_aside(record):
            continue
        missing = [name for name in _REQUIRED if name not in record]
        if missing:
            yield Finding(
                "I3", key, f"expected the fields of a whole record, missing: {', '.join(missing)}", job_id
            )
            continue
        if record["status"] not in {each.value for each in JobStatus}:
            yield Finding("I3", key, f"expected a known status, found {record['status']!a:.40}", job_id)
        if record["id"] != job_id:
            yield Finding("I3", key, f"expected its own id, found {record['id']!a:.80}", job_id)
        if record["status"] in _LIVE and stored.expires:
            yield Finding("I4", key, f"expected no TTL while the status is {record['status']}", job_id)
        for counter, limit in (
            ("current_retries", record.get("max_retries")),
            ("crash_count", rules.max_crashes),
        ):
            problem = _over(record.get(counter, "0"), limit)
            if problem:
                yield Finding("I10", key, f"{counter}: {problem}", job_id)


def _over(text: str, limit: str | int | None) -> str | None:
    if not text.isdigit():
        return f"expected a whole number, found {text!a:.40}"
    if limit is None or not str(limit).isdigit():
        return None
    return f"expected at most {limit}, found {text}" if int(text) > int(limit) else None


def _places(view: _View, keyspace: Keyspace, _: Rules) -> Iterator[Finding]:
    in_queues: dict[str, list[str]] = {}
    in_active: dict[str, list[str]] = {}
    for places, index in ((in_queues, view.queues), (in_active, view.active)):
        for name, members in index.items():
            for job_id in members:
                places.setdefault(job_id, []).append(name)
    for job_id, stored in view.jobs.items():
        status = stored.value.get("status")
        queues, owners = in_queues.get(job_id, []), in_active.get(job_id, [])
        want_queues = [keyspace.queue_name(stored.value.get("queue_name", ""))] if status in _WAITING else []
        want_owners = [stored.value.get("worker_id", "")] if status == JobStatus.ACTIVE.value else []
        if (queues, owners) != (want_queues, want_owners):
            expected = f"queues {want_queues} and active sets {want_owners}"
            problem = f"{status}: expected in {expected}, found in {queues} and {owners}"
            yield Finding("I1", keyspace.job(job_id), problem, job_id)


def _dead_letters(view: _View, keyspace: Keyspace, _: Rules) -> Iterator[Finding]:
    times = Counter(job_id for ids in view.dlqs.values() for job_id in ids)
    for job_id in view.jobs.keys() | times.keys():
        failed = view.status(job_id) == JobStatus.FAILED.value
        if job_id in view.jobs and times[job_id] != int(failed):
            problem = f"{view.status(job_id)}: expected {int(failed)} DLQ entries, found {times[job_id]}"
            yield Finding("I2", keyspace.job(job_id), problem, job_id)


def _indexes(view: _View, keyspace: Keyspace, _: Rules) -> Iterator[Finding]:
    indexes = [(keyspace.queue(name), list(members)) for name, members in view.queues.items()]
    indexes += [(keyspace.active(name), list(members)) for name, members in view.active.items()]
    indexes += [(keyspace.dlq(name), ids) for name, ids in view.dlqs.items()]
    for key, ids in indexes:
        for job_id in ids:
            if job_id not in view.jobs:
                yield Finding("I8", key, "expected a record for each entry, found none", job_id)


def _owners(view: _View, keyspace: Keyspace, _: Rules) -> Iterator[Finding]:
    for name in view.active:
        if name not in view.known_owners:
            problem = (
                "expected the orchestrator among the live ones or those being reaped, found it in neither"
            )
            yield Finding("I7", keyspace.active(name), problem)


def _unique_keys(view: _View, keyspace: Keyspace, _: Rules) -> Iterator[Finding]:
    for key, job_id in view.unique.items():
        status = view.status(job_id)
        if status not in _LIVE:
            state = "no such job" if status is None else status
            yield Finding(
                "I9",
                key,
                f"expected the id of a job that has not ended, found {job_id!a:.80} ({state})",
                job_id,
            )


def _schedule(view: _View, keyspace: Keyspace, rules: Rules) -> Iterator[Finding]:
    latest = rules.latest_ms
    for name, members in view.queues.items():
        for job_id, score in members.items():
            if not (math.isfinite(score) and 0 <= score <= latest):
                yield Finding(
                    "I11",
                    keyspace.queue(name),
                    f"expected a due time from 0 to {latest:.0f}, found {score}",
                    job_id,
                )


def _events(view: _View, keyspace: Keyspace, rules: Rules) -> Iterator[Finding]:
    for job_id in view.jobs.keys() | view.events.keys():
        status = view.status(job_id)
        found = [entry["status"] for entry in view.events.get(job_id, []) if "status" in entry]
        ended = status is not None and status not in _LIVE
        if found != [status] if found or (ended and rules.job_events) else False:
            problem = f"expected one terminal event of status {status}, found {found}"
            yield Finding("I12", keyspace.events(job_id), problem, job_id)


def _conservation(view: _View, keyspace: Keyspace, rules: Rules) -> Iterator[Finding]:
    if not rules.conserved:
        return
    totals: Counter[str] = Counter()
    for name, counters in view.stats.items():
        if ":" not in name:  # per-minute hashes repeat what the totals say
            totals.update({counter: int(n) for counter, n in counters.items() if n.lstrip("-").isdigit()})
    accepted = sum(totals[each] for each in _ACCEPTED)
    accounted = sum(totals[each] for each in _ENDED) + sum(
        view.status(job_id) in _LIVE for job_id in view.jobs
    )
    if accepted != accounted:
        problem = (
            f"expected every accepted job to be somewhere: accepted {accepted}, accounted for {accounted}"
        )
        yield Finding("I13", keyspace.stats(""), problem)
