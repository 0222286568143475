"""`rrq cron` as people and programs call it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from rrq_orchestrator.commands.cron import cron
from rrq_orchestrator.cron.entries import cron_entries
from rrq_protocol import Keyspace, load_settings
from rrq_protocol.transitions import enqueue
from support.commands import command_runner
from support.transitions import NOON_MS, Transitions

FILE = """
[[rrq.cron_jobs]]
function_name = "report"
schedule = "30 2 * * *"
timezone = "Asia/Tokyo"
queue_name = "slow"
params = { kind = "daily" }

[[rrq.cron_jobs]]
function_name = "sweep"
name = "sweeping"
schedule = "@yearly"
unique = true

[[rrq.cron_jobs]]
function_name = "twice"
schedule = "@monthly"

[[rrq.cron_jobs]]
function_name = "twice"
schedule = "@weekly"
"""
HOSTILE = "\x1b[2J\u202e\x9b\x7f"


@pytest.fixture
def t(redis_client: Any, keyspace: Keyspace) -> Transitions:
    """Return the key space's transitions."""
    return Transitions(redis_client, keyspace)


@pytest.fixture
def call(
    t: Transitions, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Serve the command in a folder with an rrq.toml."""
    monkeypatch.chdir(tmp_path)
    Path("rrq.toml").write_text(FILE)
    environment = {"RRQ_REDIS_DSN": redis_url, "RRQ_KEY_PREFIX": t.keyspace.prefix, "RRQ_CONFIG": None}
    return lambda *arguments: command_runner(environment).invoke(cron, arguments, catch_exceptions=False)


def fire(t: Transitions, index: int, tick_ms: int) -> str:
    """Fire a tick of an entry of the file; return the job's id."""
    (reply,) = t.run(
        enqueue(t.keyspace, [cron_entries(load_settings("rrq.toml"))[0][index].job_at(tick_ms // 1000)])
    )
    assert reply.kind == "created"
    return reply.job_id


def test_list_tells_last_and_next(t: Transitions, call: Callable[..., Result]) -> None:
    """Each entry with its zone, queue and state; in the entry's zone for people, in UTC for programs."""
    fire(t, 0, NOON_MS)
    done = fire(t, 1, NOON_MS)
    t.client.delete(t.keyspace.job(done), t.keyspace.queue("default"))
    report, sweep, *others = json.loads(call("list", "--json").stdout)
    assert {key: report[key] for key in ("name", "function", "schedule", "zone", "queue")} == {
        "name": "report", "function": "report", "schedule": "30 2 * * *", "zone": "Asia/Tokyo",
        "queue": "slow",
    }  # fmt: skip
    assert (report["last"], report["state"]) == ("2026-01-01T12:00:00Z", "PENDING")
    assert report["last_job"] == "cron:report:20260101T120000Z"
    assert report["next"].endswith("T17:30:00Z")
    assert (sweep["name"], sweep["state"]) == ("sweeping", "gone")
    assert [(each["last"], each["last_job"], each["state"]) for each in others] == [(None, None, None)] * 2
    shown = call("list")
    assert shown.exit_code == 0
    assert "report: 30 2 * * * (Asia/Tokyo)" in shown.stdout
    assert "last  Thu 2026-01-01 21:00:00 +0900, PENDING" in shown.stdout
    assert " 02:30:00 +0900" in shown.stdout
    assert "last  never" in shown.stdout


def test_list_without_entries(call: Callable[..., Result]) -> None:
    """It says so, and is no error."""
    Path("rrq.toml").write_text("[rrq]\n")
    assert json.loads(call("list", "--json").stdout) == []
    shown = call("list")
    assert (shown.exit_code, shown.stdout) == (0, "the settings have no [[rrq.cron_jobs]]\n")


def test_list_survives_whatever_is_stored(t: Transitions, call: Callable[..., Result]) -> None:
    """Keys of the wrong type and texts of strangers: no traceback, nothing that drives a terminal."""
    t.client.set(t.keyspace.cron("report"), "x")
    ghost = {"fired": "9" * 15, "tick": "9" * 15, "job_id": HOSTILE}
    t.client.hset(t.keyspace.cron("sweeping"), mapping=ghost)
    t.client.hset(t.keyspace.job(HOSTILE), mapping={"status": HOSTILE})
    shown, answer = call("list"), call("list", "--json")
    for each in (shown, answer):
        assert each.exit_code == 0
        assert all(char.isprintable() or char == "\n" for char in each.stdout)
    assert json.loads(answer.stdout)[1]["next"] is None


def test_trigger_enqueues_now(t: Transitions, call: Callable[..., Result]) -> None:
    """With the entry's parameters and queue; the schedule knows nothing of it."""
    answer = call("trigger", "report")
    assert answer.exit_code == 0
    record = t.record(answer.stdout.strip())
    assert (record["function_name"], record["queue_name"]) == ("report", t.keyspace.queue("slow"))
    assert json.loads(record["job_params"]) == {"kind": "daily"}
    assert not t.client.exists(t.keyspace.cron("report"))
    again = json.loads(call("trigger", "report", "--json").stdout)
    assert again["created"] is True
    assert again["id"] != record["id"]


def test_trigger_respects_unique(t: Transitions, call: Callable[..., Result]) -> None:
    """While the job of a tick has not ended, its id is the answer, and none is made."""
    job_id = fire(t, 1, NOON_MS)
    answer = call("trigger", "sweeping", "--json")
    assert json.loads(answer.stdout) == {"id": job_id, "queue_name": "default", "created": False}
    shown = call("trigger", "sweep")  # by its function
    assert (shown.exit_code, shown.stdout) == (0, f"{job_id}\n")
    assert "skips overlaps" in shown.stderr


@pytest.mark.parametrize(
    ("name", "said"), [("nobody", "expected one of: report, sweeping"), ("twice", "any of")]
)
def test_trigger_needs_one_entry(call: Callable[..., Result], name: str, said: str) -> None:
    """Of an unknown or ambiguous name, it says which there are; exit code 2."""
    answer = call("trigger", name)
    assert answer.exit_code == 2
    assert said in answer.stderr
    assert answer.stderr.startswith(f"rrq: '{name}'")


def test_mistakes_are_explained(t: Transitions, call: Callable[..., Result]) -> None:
    """Wrong entries are 78 with their key path; no Redis, and a queue that is none, are 1."""
    t.client.set(t.keyspace.queue("slow"), "x")
    answer = call("trigger", "report")
    assert (answer.exit_code, "holds something else" in answer.stderr) == (1, True)
    answer = call("list", "--redis-dsn", "redis://127.0.0.1:1")
    assert (answer.exit_code, "127.0.0.1:1" in answer.stderr) == (1, True)
    Path("rrq.toml").write_text(FILE.replace("@yearly", "0 0 30 2 *"))
    for arguments in (("list",), ("trigger", "report")):
        answer = call(*arguments)
        assert answer.exit_code == 78
        assert "rrq.cron_jobs[1].schedule: " in answer.stderr
