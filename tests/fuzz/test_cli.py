"""Every command that reads, over key spaces that strangers wrote (RELIABILITY.md F85, S6, G21).

An input is a whole key space by type of key, with the width of the terminal and the zone of its clock:
``{"hash": {"job:j": {…}}, "zset": {"queue:default": {"j": 1}}, …, "columns": 80, "zone": "UTC0"}``. Each
mutation also writes anew some of its job hashes.
"""

import json
import os
import random
import time
import zlib
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click
import pytest
from rich.cells import cell_len

from rrq_cli.root import root
from support.cli import HOSTILE, Answer, World
from support.fuzzing import Fuzz, Tree, read_corpus
from support.fuzzing.records import RECORDS, raw_hash, raw_text
from support.fuzzing.text import controls

SHARE = 1 / 3000  # 100 key spaces of 300,000
TRIES = 200
NARROWEST, WIDEST = 20, 200
COMMANDS_EACH = 14
# Ids and names are filled in; every command runs with and without --json.
READING = (
    ("queue", "list"),
    ("queue", "list", "--show-empty", "--scan", "0"),
    ("queue", "stats"),
    ("queue", "stats", "--max-scan", "0"),
    ("queue", "inspect", "default", "--limit", "60"),
    ("queue", "inspect", "{queue}", "--offset", "1"),
    ("queue", "pause", "{queue}"),
    ("queue", "resume", "{queue}"),
    ("queue", "purge", "{queue}", "--yes"),
    ("job", "list"),
    ("job", "list", "--scan", "--limit", "100"),
    ("job", "list", "--status", "failed"),
    ("job", "list", "--queue", "{queue}", "--function", "f"),
    ("job", "show", "{id}"),
    ("job", "show", "{id}"),
    ("job", "trace", "{id}"),
    ("job", "trace", "{id}"),
    ("job", "why", "{id}"),
    ("job", "why", "{id}"),
    ("job", "wait", "{id}", "--timeout", "0"),
    ("dlq", "list"),
    ("dlq", "list", "--limit", "100", "--dlq-name", "default"),
    ("dlq", "inspect", "{id}"),
    ("dlq", "stats"),
    ("dlq", "requeue", "--all", "--dry-run"),
    ("dlq", "purge", "--all", "--dry-run"),
    ("dlq", "purge", "--limit", "3", "--yes"),
    ("check",),
    ("top", "--json"),
    ("worker", "list"),
    ("worker", "drain", "--all"),
    ("doctor", "--repair"),
)
# Of another wheel; its lines are as long as they are.
ELSEWHERE: set[tuple[str, ...]] = {("doctor",)}
# What changes something, or looks at no key space.
OTHERS = {
    ("completion",),
    ("init",),
    ("config", "check"),
    ("config", "show"),
    ("debug", "clear"),
    ("debug", "generate-jobs"),
    ("debug", "generate-workers"),
    ("debug", "stress-test"),
    ("debug", "submit"),
    ("demo",),
    ("job", "cancel"),
    ("job", "replay"),
}
TOKENS = (
    *RECORDS.tokens, b"queue:default", b"queue:other", b"dlq:default", b"workers", b"reaping", b"queues",
    b"dlqs", b"paused", b"quarantine", b"active:jobs:w", b"stats:default", b"health:worker:w", b"job:j0",
    b"job:j1", b"j0", b"j1", b"inf", b"-inf", b"nan", b"1e300", b"9" * 4301, b"hash", b"zset", b"list",
    b"set", b"string",
)  # fmt: skip


TEXTS = ("status", "status", "queue_name", "function_name", "last_error", "worker_id", "dlq_name")


class Keyspaces(Tree):
    """Key spaces: trees in which job hashes are mutated as job hashes, too."""

    def __init__(self) -> None:
        super().__init__(TOKENS)
        self.records = [RECORDS.read(entry.data) for entry in read_corpus("records")]

    def mutated(self, case: Any, other: Any, rng: random.Random) -> Any:
        case = super().mutated(case, other, rng)
        if not isinstance(case, dict) or not isinstance(case.get("hash"), dict):
            return case
        hashes = dict(case["hash"])
        for name in [name for name in hashes if name.startswith("job:")]:
            if rng.random() < 0.5:
                record = RECORDS.mutated(rng.choice(self.records), rng.choice(self.records), rng)
                if rng.random() < 0.9 and isinstance(record, dict) and "id" in record:
                    record["id"] = name.removeprefix("job:")
                hashes[name] = record
                if rng.random() < 0.3 and isinstance(record, dict):
                    # Whatever a stranger writes into a field may be shown: as a cell, a heading, a sentence.
                    # The prefix is the test's own: only a bare name is that of a queue.
                    text = rng.choice(("", "x")) + HOSTILE
                    hashes[name] = {**record, "queue_name": "default", rng.choice(TEXTS): text}
        zone = rng.choice(("UTC0", "AAA-14", "BBB+12"))
        return {**case, "hash": hashes, "columns": rng.randint(NARROWEST, WIDEST), "zone": zone}


@contextmanager
def zone(name: str) -> Iterator[None]:
    """Set the clock's zone."""
    before = os.environ.get("TZ")
    try:
        os.environ["TZ"] = name
        time.tzset()
        yield
    finally:
        os.environ.pop("TZ", None)
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()


class Reader:
    """Stores a key space and runs commands over it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.client: Any = world.redis

    def check(self, case: Any) -> Iterable[Hashable]:
        """No command fails in a way that is not documented, or prints what it must not."""
        case = case if isinstance(case, dict) else {}
        names = self.store(case)
        rng = random.Random(zlib.crc32(json.dumps(case).encode()))
        columns = case.get("columns")
        room = columns if isinstance(columns, int) and NARROWEST <= columns <= WIDEST else 80
        where = case.get("zone") if case.get("zone") in ("UTC0", "AAA-14", "BBB+12") else "UTC0"
        found: set[Hashable] = set()
        with zone(str(where)):
            for command in rng.sample(READING, COMMANDS_EACH):
                words = [
                    word.format(id=rng.choice(names), queue=rng.choice(("default", "other")))
                    for word in command
                ]
                as_json = rng.random() < 0.4
                words += ["--json"] if as_json and "--json" not in words else []
                answer = self.world.rrq(*words, environment={"COLUMNS": str(room), "TZ": str(where)})
                judge(words, answer, room, as_json)
                found |= {" ".join(command[:2]), f"{command[:2]}: {answer.code}"}
        return found

    def store(self, case: dict[str, Any]) -> list[str]:
        """Write a key space in place of the last one; return ids to ask for."""
        prefix = self.world.keys.prefix.encode() + b":"
        old = [*self.client.scan_iter(match=prefix + b"*", count=10_000)]
        with self.client.pipeline(transaction=False) as pipe:
            if old:
                pipe.unlink(*old)
            for kind in ("hash", "zset", "list", "set", "string"):
                keys = case.get(kind)
                for name, value in keys.items() if isinstance(keys, dict) else ():
                    key = prefix + raw_text(name)
                    pipe.unlink(key)
                    _write(pipe, kind, key, value)
            pipe.execute()
        hashes = case.get("hash")
        ids = (
            [name.removeprefix("job:") for name in hashes if name.startswith("job:")]
            if isinstance(hashes, dict)
            else []
        )
        return [name for name in ids if not name.startswith("-") and "\0" not in name][:12] or ["j0"]


def _write(pipe: Any, kind: str, key: bytes, value: Any) -> None:
    if kind == "string":
        pipe.set(key, raw_text(value if isinstance(value, str) else json.dumps(value)))
    elif kind == "hash" and raw_hash(value):
        pipe.hset(key, mapping=raw_hash(value))
    elif kind == "zset" and isinstance(value, dict):
        members = {raw_text(name): _score(score) for name, score in value.items()}
        if members:
            pipe.zadd(key, members)
    elif isinstance(value, list) and value and kind in ("list", "set"):
        (pipe.rpush if kind == "list" else pipe.sadd)(key, *map(raw_text, value))


def _score(value: Any) -> float:
    if value in ("inf", "-inf"):
        return float(value)
    return float(value) if isinstance(value, int | float) and abs(value) < 10**300 else 1.0


def judge(words: list[str], answer: Answer, room: int, as_json: bool) -> None:
    """Raise if an answer is not one that a command may give."""
    assert answer.code in (0, 1), (words, answer.code, answer.err)
    bad = controls(answer.out.replace("\n", "")) | controls(answer.err.replace("\n", ""))
    assert not bad, (words, bad)
    assert "Traceback (most recent call last)" not in answer.err, words
    if as_json or "--json" in words:
        if answer.out or answer.code == 0:
            json.loads(answer.out, parse_constant=_refuse)
        return
    for line in answer.out.split("\n"):
        if line.lstrip().startswith("rrq ") or "doctor" in words:
            continue  # a command to copy is never folded
        assert cell_len(line) <= room, (words, room, line)


def _refuse(text: str) -> None:
    raise AssertionError(f"{text} is no JSON")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the doctor look again, and repair, at once."""
    monkeypatch.setattr("rrq_orchestrator.examination.MOMENT_S", 0.0)
    monkeypatch.setattr("rrq_orchestrator.reconciler.LEASES_APART", 0)


def test_every_command_reads_any_key_space(fuzz: Fuzz, world: World) -> None:
    """Whatever is stored: the exit code is 0 or 1, nothing printed drives a terminal or is wider than it,
    JSON is JSON, and no exception escapes. Terminals of 20 to 200 columns, clocks 26 hours apart.
    """
    report = fuzz.run("keyspaces", Keyspaces(), Reader(world).check, share=SHARE, limit_s=60, tries=TRIES)
    if fuzz.only is None:
        assert {" ".join(command[:2]) for command in READING} <= set(report.outcomes)


def test_the_corpus_is_read_by_every_command_in_full(world: World) -> None:
    """Each command, with and without JSON, over each key space of the corpus."""
    reader = Reader(world)
    for entry in read_corpus("keyspaces"):
        case = json.loads(entry.data)
        names = reader.store(case)
        for command in READING:
            for as_json in (False, True):
                words = [word.format(id=names[0], queue="default") for word in command] + ["--json"] * as_json
                answer = world.rrq(*words, environment={"COLUMNS": "60"})
                judge([entry.name, *words], answer, 60, as_json)


def test_no_command_is_left_out() -> None:
    """Each command of the wheel is among those that read, or among those that do something else."""
    context = click.Context(root)
    found = set(ELSEWHERE)
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        if isinstance(command, click.Group):
            found |= {
                (name, each)
                for each in command.list_commands(context)
                if _is_ours(command.get_command(context, each))
            }
        elif _is_ours(command):
            found.add((name,))
    named = {tuple(word for word in command[:2] if word[0] != "-") for command in READING}
    assert found == named | OTHERS


def _is_ours(command: click.Command | None) -> bool:
    """Whether a command is of this wheel; what another wheel brings is tested there."""
    callback = None if command is None else command.callback
    return getattr(callback, "__module__", "").startswith("rrq_cli.")
