"""``rrq doctor`` as people and programs call it: break, be told, repair, be clean."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from rrq_orchestrator.commands.doctor import doctor
from rrq_protocol import Job, Keyspace
from rrq_protocol.transitions import SettleKind
from support.commands import command_runner
from support.redis_servers import RedisServer
from support.transitions import Transitions

HOSTILE = b"\x1b[2J\xff\xe2\x80\xae\x7f"


@pytest.fixture
def t(redis_client: "redis.Redis", keyspace: Keyspace) -> Transitions:
    """Return a keyspace with jobs in each state: p pending, a active, c completed, d dead."""
    made = Transitions(redis_client, keyspace)
    made.register("a")
    made.enqueue(*(Job("f", job_id=name) for name in "cda"))
    for job in made.claim().jobs:
        if job.id in "cd":
            made.end(job, SettleKind.COMPLETE if job.id == "c" else SettleKind.FAIL)
    made.add("p")
    return made


@pytest.fixture
def call(
    t: Transitions, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Serve the command, on that keyspace, with a lease so short that a repair need not be waited for."""
    monkeypatch.chdir(tmp_path)
    environment = {
        "RRQ_REDIS_DSN": redis_url, "RRQ_KEY_PREFIX": t.keyspace.prefix, "RRQ_LEASE_SECONDS": "0.1",
        "RRQ_LEASE_BEAT_SECONDS": "0.01",
    }  # fmt: skip
    monkeypatch.setattr("rrq_orchestrator.examination.MOMENT_S", 0.01)
    # The tests' own server keeps nothing, and may be an old one; what is said of servers has its own tests.
    monkeypatch.setattr("rrq_orchestrator.examination.judge_server", lambda _: ())
    return lambda *arguments: CliRunner(env=environment).invoke(doctor, arguments, catch_exceptions=False)


Break = Callable[[Any, Keyspace], object]
BROKEN: list[tuple[str, str, Break]] = [
    ("I1", "waits nowhere", lambda r, k: r.delete(k.queue("default"))),
    ("I1", "waits twice", lambda r, k: r.zadd(k.queue("other"), {"p": 1})),
    ("I1", "names another queue", lambda r, k: r.hset(k.job("p"), "queue_name", k.queue("other"))),
    ("I1", "in no active set", lambda r, k: r.delete(k.active("a"))),
    ("I1", "in another's set", lambda r, k: r.zadd(k.active("b"), {"a": 1})),
    ("I1", "of a lost owner", lambda r, k: r.hset(k.job("a"), "worker_id", "lost")),
    ("I1", "of no owner", lambda r, k: r.hdel(k.job("a"), "worker_id")),
    ("I1", "ended and queued", lambda r, k: r.zadd(k.queue("default"), {"c": 1})),
    ("I2", "dead in no DLQ", lambda r, k: r.delete(k.dlq("default"))),
    ("I2", "dead twice", lambda r, k: r.rpush(k.dlq("default"), "d")),
    ("I2", "dead in two DLQs", lambda r, k: r.rpush(k.dlq("other"), "d")),
    ("I2", "alive in a DLQ", lambda r, k: r.rpush(k.dlq("default"), "p")),
    ("I4", "expires", lambda r, k: r.expire(k.job("p"), 900)),
    ("I7", "orphans", lambda r, k: r.delete(k.workers, k.health("a"))),
    ("I8", "queued without a record", lambda r, k: r.zadd(k.queue("default"), {HOSTILE: 1})),
    ("I8", "held without a record", lambda r, k: r.zadd(k.active("a"), {"ghost": 1})),
    ("I9", "keeps a unique key", lambda r, k: r.set(k.idempotency("u"), "c")),
    ("I9", "keeps a lock", lambda r, k: r.set(k.lock_unique("u"), "c")),
    ("I9", "lost its key", lambda r, k: r.hset(k.job("p"), "job_unique_key", "u")),
    ("I11", "never due", lambda r, k: r.zadd(k.queue("default"), {"p": "inf"})),
]


@pytest.mark.parametrize(("rule", "what", "damage"), BROKEN, ids=[f"{r} {what}" for r, what, _ in BROKEN])
def test_broken_told_repaired_clean(
    t: Transitions, call: Callable[..., Result], rule: str, what: str, damage: Break
) -> None:
    """Exit code 1 and the name of the invariant; after --repair exit code 0 and nothing left."""
    assert call("--json").exit_code == 0, what
    damage(t.client, t.keyspace)
    told = call("--json")
    assert told.exit_code == 1
    found = json.loads(told.stdout)
    assert rule in {each["rule"] for each in found["findings"]}
    assert all(each["repair"] for each in found["findings"])
    mended = json.loads(call("--repair", "--json").stdout)
    assert "repaired" in {each["outcome"] for each in mended["repairs"]}
    after = call("--json")
    assert after.exit_code == 0, after.stdout
    assert json.loads(after.stdout)["findings"] == []


def test_a_warning_counts_unless_only_errors_do(t: Transitions, call: Callable[..., Result]) -> None:
    """A dead letter that expired: exit code 1, with --errors-only 0; the entry is taken out by a repair."""
    t.client.delete(t.keyspace.job("d"))
    assert call().exit_code == call("--strict").exit_code == 1
    assert json.loads(call("--json").stdout)["healthy"] is False
    lenient = call("--errors-only")
    assert (lenient.exit_code, "0 errors, 1 warnings; " in lenient.stdout) == (0, True)
    assert "none of them counts with --errors-only" in lenient.stdout
    assert json.loads(call("--errors-only", "--json").stdout)["healthy"] is True
    call("--repair")
    assert t.dead() == []
    assert call().exit_code == 0


@pytest.mark.parametrize(
    ("rule", "level", "damage"),
    [
        ("I13", "warning", lambda r, k: r.delete(k.job("p"), k.queue("default"))),
        ("I10", "warning", lambda r, k: r.hset(k.job("p"), "crash_count", "99")),
        ("F40", "warning", lambda r, k: r.rpush(k.quarantine, "x")),
        ("I10", "error", lambda r, k: r.hset(k.job("p"), "current_retries", "99")),
        ("I3", "error", lambda r, k: r.hdel(k.job("a"), "status")),
        ("I5", "error", lambda r, k: r.hdel(k.job("a"), "claim_seq")),
        ("I5", "error", lambda r, k: r.hset(k.job("a"), "claim_seq", "0")),
        ("F40", "error", lambda r, k: r.rpush(k.lock_job("p"), "x")),
        ("F40", "error", lambda r, k: r.rpush(k.debounce("k"), "x")),
        ("F40", "error", lambda r, k: r.hset(k.rate_limit("k"), "x", "y")),
        ("F40", "error", lambda r, k: r.rpush(k.debounced("k"), "x")),
    ],
    ids=[
        "lost",
        "crashes",
        "set aside",
        "retries",
        "no status",
        "no claim",
        "claim 0",
        "lock",
        "debounce",
        "rate limit",
        "calls",
    ],
)
def test_every_finding_counts(
    t: Transitions, call: Callable[..., Result], rule: str, level: str, damage: Break
) -> None:
    """Exit code 1 for an error and for a warning; with --errors-only for an error."""
    damage(t.client, t.keyspace)
    said = call("--json")
    assert (rule, level) in {(each["rule"], each["level"]) for each in json.loads(said.stdout)["findings"]}
    assert (said.exit_code, call("--errors-only").exit_code) == (1, int(level == "error"))


def test_the_public_line_numbers_no_claims(t: Transitions, call: Callable[..., Result]) -> None:
    """A job that an orchestrator of theirs runs has no claim_seq, and is in order: theirs has no lease."""
    t.client.zrem(t.keyspace.workers, "a")
    t.client.hdel(t.keyspace.job("a"), "claim_seq")
    assert call().exit_code == 0


def test_doubts_about_the_server_count(
    own_redis: RedisServer, keyspace: Keyspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server with an append-only file and no flaws is fit; one that keeps nothing, or deletes what it has
    to keep, is not.
    """
    monkeypatch.chdir(tmp_path)
    runner = command_runner({"RRQ_REDIS_DSN": own_redis.url, "RRQ_KEY_PREFIX": keyspace.prefix})

    def doubts() -> set[str]:
        said = runner.invoke(doctor, ["--json"], catch_exceptions=False)
        checks = [each for each in json.loads(said.stdout)["server"] if each["level"] in ("warning", "error")]
        assert said.exit_code == int(bool(checks))
        return {each["subject"] for each in checks} - {"version"}

    assert doubts() == set()
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("appendonly", "no")
        assert doubts() == {"persistence"}
        client.config_set("maxmemory-policy", "allkeys-lru")
        assert doubts() == {"persistence", "memory"}


def test_a_job_that_cannot_run_is_told_and_left(t: Transitions, call: Callable[..., Result]) -> None:
    """A record that waits with fields no claim can use is an error before any orchestrator runs; --repair
    leaves it as it is, for the claim to fail it with the reason (F83).
    """
    t.client.hset(t.keyspace.job("p"), mapping={"job_params": "{oops", "max_retries": "5"})
    before = t.record("p")
    said = call("--repair", "--json")
    (found,) = [each for each in json.loads(said.stdout)["findings"] if each["rule"] == "I3"]
    assert (said.exit_code, found["key"], found["repair"]) == (1, t.keyspace.job("p"), None)
    assert "job_params" in found["found"]
    assert t.record("p") == before


def test_people_get_a_table(t: Transitions, call: Callable[..., Result]) -> None:
    """Level, invariant, key, and what to do; what drives a terminal is shown as text."""
    t.client.zadd(t.keyspace.queue("default"), {HOSTILE: 1})
    t.client.hset(t.keyspace.job("c"), "id", HOSTILE)
    said = call()
    assert said.exit_code == 1
    assert "  error     I8" in said.stdout
    assert "cannot be repaired here" in said.stdout
    assert "rrq doctor --repair" in said.stdout
    assert all(char.isprintable() or char == "\n" for char in said.stdout)
    assert all(char.isprintable() or char == "\n" for char in call("--json").stdout)
    t.client.delete(*t.client.keys(f"{t.keyspace.prefix}:*"))
    clean = call()
    assert (clean.exit_code, "\n0 keys, 0 jobs\n" in clean.stdout) == (0, True)


def test_a_repair_is_told(t: Transitions, call: Callable[..., Result]) -> None:
    """The table says what became of each."""
    t.client.delete(t.keyspace.queue("default"))
    said = call("--repair")
    assert said.exit_code == 0
    assert f"repaired  I1  {t.keyspace.job('p')}: expected a PENDING job" in said.stdout
    assert t.queued() == ["p"]


def test_a_key_of_another_type_is_named_and_left(t: Transitions, call: Callable[..., Result]) -> None:
    """A person has to look: --repair says that it is in the way, and stays at exit code 1."""
    t.client.delete(t.keyspace.queue("default"))
    t.client.set(t.keyspace.queue("default"), HOSTILE)
    said = json.loads(call("--repair", "--json").stdout)
    assert {each["outcome"] for each in said["repairs"]} == {"wrong_type"}
    assert "F40" in {each["rule"] for each in said["findings"]}
    assert not said["healthy"]
    assert t.client.get(t.keyspace.queue("default")) == HOSTILE


@pytest.mark.parametrize("name", ["workers", "reaping", "queues", "dlqs", "paused", "quarantine"])
def test_a_list_of_another_type_keeps_nothing_from_being_repaired(
    t: Transitions, call: Callable[..., Result], name: str
) -> None:
    """It is told, for a person to see to; the rest is repaired."""
    key = getattr(t.keyspace, name)
    t.client.delete(key, t.keyspace.queue("default"), t.keyspace.active("a"), t.keyspace.dlq("default"))
    t.client.set(key, HOSTILE)
    mended = call("--repair", "--json")
    said = json.loads(mended.stdout)
    assert mended.exit_code == 1
    assert {each["job_id"] for each in said["repairs"] if each["outcome"] == "repaired"} == {"p", "a", "d"}
    assert ("F40", key) in {(each["rule"], each["key"]) for each in said["findings"]}
    assert (t.queued(), t.held("a"), t.dead()) == (["p"], ["a"], ["d"])


def test_a_repair_that_is_refused_hides_no_finding(t: Transitions, call: Callable[..., Result]) -> None:
    """Who may look and not write is told what is wrong, and what was refused."""
    t.client.delete(t.keyspace.queue("default"))
    rights = ("on", ">secret", "~*", "&*", "+@all", "-zadd")
    t.client.execute_command("ACL", "SETUSER", "looker", *rights)
    try:
        address = t.client.connection_pool.connection_kwargs
        dsn = f"redis://looker:secret@{address['host']}:{address['port']}/{address.get('db', 0)}"
        refused = call("--repair", "--json", "--redis-dsn", dsn)
    finally:
        t.client.execute_command("ACL", "DELUSER", "looker")
    said = json.loads(refused.stdout)
    assert (refused.exit_code, [each["subject"] for each in said["server"]]) == (1, ["repair"])
    assert {each["rule"] for each in said["findings"]} == {"I1", "I13"}


@pytest.mark.parametrize("field", ["current_retries", "max_retries", "crash_count", "claim_seq"])
def test_one_foreign_record_hides_no_other_fault(
    t: Transitions, call: Callable[..., Result], field: str
) -> None:
    """More digits than Python reads are a finding of that record; the others are found as ever, and a key of
    the counters with such a number too.
    """
    fields = {"id": "bad", "function_name": "f", "job_params": "{}", "enqueue_time": "2026-01-01T00:00:00Z"}
    many = {"status": "COMPLETED", "current_retries": "0", "max_retries": "3", field: "9" * 4301}
    t.client.hset(t.keyspace.job("bad"), mapping={**fields, **many})
    t.client.hset(t.keyspace.stats("other"), "enqueued", "9" * 4301)
    t.client.delete(t.keyspace.queue("default"))
    said = call("--json")
    rules = {(each["rule"], each["job_id"]) for each in json.loads(said.stdout)["findings"]}
    assert rules == {("I5" if field == "claim_seq" else "I10", "bad"), ("I1", "p"), ("I13", None)}
    assert said.exit_code == 1


def test_many_findings_are_counted(t: Transitions, call: Callable[..., Result]) -> None:
    """Fifty are shown, the rest is a number."""
    t.client.zadd(t.keyspace.queue("default"), {f"ghost{n}": 1 for n in range(80)})
    assert "and 31 more; --json" in call().stdout


@pytest.mark.parametrize(
    ("dsn", "code", "word"),
    [
        ("redis://127.0.0.1:1", 1, "127.0.0.1:1"),
        ("nonsense://x", 78, "redis_dsn"),
        ("embedded://no", 78, "no"),
    ],
)
def test_a_server_that_is_not_there(call: Callable[..., Result], dsn: str, code: int, word: str) -> None:
    """One message, no traceback."""
    said = call("--redis-dsn", dsn)
    assert (said.exit_code, word in said.output) == (code, True), said.output
