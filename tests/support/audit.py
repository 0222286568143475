"""The product's auditor for tests: over a blocking client, or over keys that were read already.

:func:`audit` has the auditor look itself (:mod:`rrq_orchestrator.audit`). :func:`judge` puts a snapshot
before the same judges, for tests that take thousands of them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import redis

from rrq_orchestrator.audit import EntryFacts, Finding, JobFacts, Look, Rules, Seen
from rrq_orchestrator.audit.batches import Reading
from rrq_orchestrator.audit.facts import FIELDS
from rrq_orchestrator.audit.families import Families, pattern
from rrq_orchestrator.audit.judge import (
    judge_counters,
    judge_entry,
    judge_events,
    judge_job,
    judge_owner,
    judge_quarantine,
    judge_type,
    judge_unique,
)
from rrq_protocol import JobStatus, Keyspace
from rrq_protocol.transitions import Evidence

__all__ = ["Finding", "Rules", "Stored", "ask", "audit", "judge", "look_with", "read_keys"]

T = TypeVar("T")
_STEP = 500


@dataclass(frozen=True)
class Stored:
    """One key as it was read: its type, whether it expires, and its content in Python's terms."""

    kind: str
    expires: bool
    value: Any


# The auditor's own look, over a blocking connection.


def audit(
    client: "redis.Redis",
    keyspace: Keyspace,
    *,
    max_crashes: int | None = None,
    job_events: bool = False,
    conserved: bool = False,
    step: int = 500,
) -> tuple[Finding, ...]:
    """Return everything that is wrong with the keys of ``keyspace``; see :class:`Rules` for the options."""
    rules = Rules(max_crashes=max_crashes, conserved=conserved)
    found = look_with(client, Look(keyspace, rules, step=step).everything()).findings
    if not job_events:
        return found
    # That an event is missing shows at no key.
    rules = Rules(max_crashes=max_crashes, job_events=True)
    return found + tuple(f for f in judge(read_keys(client, keyspace), keyspace, rules) if f.rule == "I12")


def look_with(client: "redis.Redis", reading: Reading[T]) -> T:
    """Return the outcome of a reading, over a connection of its own to the client's server."""
    pool: Any = client.connection_pool
    connection = pool.connection_class(**{**pool.connection_kwargs, "protocol": 2})
    replies: list[Any] | None = None
    try:
        while True:
            try:
                commands = next(reading) if replies is None else reading.send(replies)
            except StopIteration as end:
                outcome: T = end.value
                return outcome
            replies = ask(connection, commands)
    finally:
        connection.disconnect()


def ask(connection: Any, commands: list[tuple[Any, ...]]) -> list[Any]:
    """Return the raw replies to commands, errors as values."""
    connection.send_packed_command(connection.pack_commands(commands))
    replies: list[Any] = []
    for _ in commands:
        try:
            replies.append(connection.read_response())
        except redis.ResponseError as error:
            replies.append(error)
    return replies


# The judges over a snapshot.


class _View:
    """The keys, sorted by family: contents by the name that follows the family's start."""

    def __init__(self, keys: Mapping[str, Stored], keyspace: Keyspace) -> None:
        self.by_family: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, Stored] = {}
        self.broken: list[Finding] = []
        families = Families(keyspace)
        for key, stored in keys.items():
            placed = families.of(key)
            if placed is None:
                continue
            family, name = placed
            if stored.kind != family.kind:
                self.broken += judge_type(key, family.kind, stored.kind)
            elif family.name == "job":
                self.jobs[name] = stored
            else:
                named = key if family.name in ("idempotency", "unique") else name
                self.by_family.setdefault(family.name, {})[named] = stored.value

    def of(self, family: str) -> dict[str, Any]:
        """Return the contents of a family."""
        return self.by_family.get(family, {})

    def seen(self, job_id: str) -> Seen:
        """Return a record as entries meet it."""
        stored = self.jobs.get(job_id)
        if stored is None:
            return Seen()
        get = stored.value.get
        evidence = Evidence(get("status", ""), get("worker_id", ""), get("claim_seq", ""))
        return Seen(True, evidence, get("queue_name", ""), get("dlq_name", ""))

    def facts(self, job_id: str, stored: Stored, keyspace: Keyspace) -> JobFacts:
        """Return a record and its places."""
        fields = {name: stored.value[name] for name in FIELDS if name in stored.value}
        named = keyspace.queue_name(fields.get("queue_name", ""))
        queues = [name for name, ids in self.of("queue").items() if job_id in ids]
        return JobFacts(
            job_id,
            fields,
            stored.expires,
            queues=tuple(name for name in queues if not named or name == named),
            held=job_id in self.of("active").get(fields.get("worker_id", ""), {}),
            dlqs=tuple(
                (name, times) for name, ids in self.of("dlq").items() if (times := Counter(ids)[job_id])
            ),
            malformed=stored.value.get("last_error", "").startswith("malformed: "),
            keyless=bool(fields.get("job_unique_key"))
            and keyspace.idempotency(fields["job_unique_key"]) not in self.of("idempotency"),
            leased=fields.get("worker_id")
            in {*self.of("workers").get("", ()), *self.of("reaping").get("", ())},
        )


def judge(keys: Mapping[str, Stored], keyspace: Keyspace, rules: Rules) -> tuple[Finding, ...]:
    """Return everything that is wrong with these keys."""
    view = _View(keys, keyspace)
    return (*view.broken, *_jobs(view, keyspace, rules), *_indexes(view, keyspace, rules))


def _jobs(view: _View, keyspace: Keyspace, rules: Rules) -> Iterator[Finding]:
    for job_id, stored in view.jobs.items():
        yield from judge_job(view.facts(job_id, stored, keyspace), keyspace, rules)
    for key, holder in {**view.of("idempotency"), **view.of("unique")}.items():
        yield from judge_unique(key, holder, view.seen(holder), keyspace)
    for job_id in view.jobs.keys() | view.of("events").keys():
        found = [event["status"] for event in view.of("events").get(job_id, []) if "status" in event]
        yield from judge_events(job_id, found, view.seen(job_id), keyspace, rules)
    if rules.conserved:
        totals: Counter[str] = Counter()
        for name, counters in view.of("stats").items():
            if ":" not in name:  # per-minute hashes repeat what the totals say
                totals.update({each: int(n) for each, n in counters.items() if n.lstrip("-").isdigit()})
        live = {each.value for each in JobStatus if not each.is_terminal}
        yield from judge_counters(
            totals, sum(stored.value.get("status") in live for stored in view.jobs.values()), keyspace
        )


def _indexes(view: _View, keyspace: Keyspace, rules: Rules) -> Iterator[Finding]:
    listed = {*view.of("workers").get("", ()), *view.of("reaping").get("", ())}
    for family in ("queue", "active", "dlq"):
        for name, ids in view.of(family).items():
            for job_id in ids:
                score = ids[job_id] if family == "queue" else 0.0
                entry = EntryFacts(family, name, job_id, view.seen(job_id), score)
                yield from judge_entry(entry, keyspace, rules)
    for name, ids in view.of("active").items():
        if ids:
            yield from judge_owner(name, name in listed, keyspace)
    for ids in view.of("quarantine").values():
        yield from judge_quarantine(list(ids), keyspace)


# Reading a snapshot.


def read_keys(client: "redis.Redis", keyspace: Keyspace) -> dict[str, Stored]:
    """Return all keys of ``keyspace`` with their contents; uses SCAN, so the server is never held up."""
    names = sorted(set(client.scan_iter(match=pattern(keyspace.prefix), count=1000)))
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
