"""`rrq check`, called as people call it."""

import json
import sys
from pathlib import Path

import pytest

from support.cli import World


def test_nobody_is_alive(world: World) -> None:
    """Without an orchestrator the answer is 1 and what to start."""
    answer = world.rrq("check")
    assert answer.code == 1
    assert "rrq worker run" in answer.words
    assert world.rrq("check", "--json").json["healthy"] is False


def test_a_live_orchestrator_is_healthy(world: World) -> None:
    """With one the answer is 0, with its facts in the JSON."""
    world.register(host="h", pid=7)
    answer = world.rrq("check")
    assert (answer.code, "✓ healthy" in answer.out) == (0, True)
    found = world.rrq("check", "--json").json
    assert (found["healthy"], found["findings"]) == (True, [])
    (worker,) = found["orchestrators"]
    assert (worker["state"], worker["host"], worker["pid"], worker["queues"]) == ("live", "h", 7, ["default"])


def test_a_lapsed_lease_is_a_finding(world: World) -> None:
    """An orchestrator whose lease is past does not count as alive, and is named."""
    world.register("late", lease_ms=-9000)
    answer = world.rrq("check", "--json")
    assert answer.code == 1
    assert answer.json["orchestrators"][0]["state"] == "lapsed"
    assert any("lease of late is past" in finding for finding in answer.json["findings"])
    world.register("fine")
    assert world.rrq("check").code == 0


def test_a_broken_runner_is_a_finding(world: World) -> None:
    """An orchestrator whose only runner takes no jobs is not well; the runner is named, in JSON too."""
    error = {"last_error": "exited with 1: no such module", "last_error_at": "2026-01-02T03:04:05Z"}
    broken = {"python": {"state": "broken", "capacity": 0, "free": 0, "pids": [], "restarts": 2, **error}}
    world.register("w", runners=broken, concurrency_limit=0)
    answer = world.rrq("check")
    assert (answer.code, "✓" in answer.out) == (1, False)
    assert "✗ runner python of w is broken: exited with 1: no such module" in answer.words
    found = world.rrq("check", "--json").json
    assert found["healthy"] is False
    (runner,) = found["orchestrators"][0]["runners"]
    assert (runner["name"], runner["state"], runner["capacity"]) == ("python", "broken", 0)
    assert (runner["restarts"], runner["last_error"]) == (2, "exited with 1: no such module")
    assert runner["last_error_at"].startswith("2026-01-02T03:04:05")
    world.register("v", runners={"python": {"state": "ready", "capacity": 4, "free": 4}})
    answer = world.rrq("check")
    assert (answer.code, "! runner python of w is broken" in answer.words) == (0, True)


def test_what_a_runner_said_last_cannot_write_on_the_terminal(world: World) -> None:
    """It is text of a process that failed; control characters are shown, not obeyed."""
    facts = {"state": "broken", "capacity": 0, "last_error": "\x1b[2Jgone\r\nfine"}
    world.register("w", runners={"python": facts})
    answer = world.rrq("check")
    assert "gone" in answer.out
    assert "\x1b[2J" not in answer.out
    assert "\r" not in answer.out


def test_json_where_redis_does_not_answer(world: World) -> None:
    """Programs get a document with the reason, whatever it is; people get the message."""
    for dsn, code in (("redis://127.0.0.1:1/0", 1), ("embedded://nowhere", 1), ("nonsense://x", 78)):
        answer = world.rrq("check", "--json", "--redis-dsn", dsn)
        assert (answer.code, answer.json["healthy"], answer.json["orchestrators"]) == (code, False, [])
        assert answer.json["findings"][0]
        assert world.rrq("check", "--redis-dsn", dsn).out == ""


@pytest.mark.parametrize("lease", ["inf", "1e300", "-inf", "-1e300"])
def test_leases_that_are_no_time_are_findings(world: World, lease: str) -> None:
    """A row that no orchestrator wrote counts as nobody alive, in words and in JSON that can be read."""
    world.redis.execute_command("ZADD", world.keys.workers, lease, "w")  # type: ignore[no-untyped-call]
    answer = world.rrq("check")
    assert (answer.code, "∞" in answer.out, "no live orchestrator" in answer.out) == (1, True, True)
    found = json.loads(world.rrq("check", "--json").out, parse_constant=pytest.fail)
    assert found["orchestrators"][0]["state"] == ("lapsed" if lease.startswith("-") else "stray")


def test_a_cron_entry_for_a_queue_that_nobody_serves_is_told(world: World) -> None:
    """A remark with the entry and the queue: jobs of others run."""
    entry = '[[rrq.cron_jobs]]\nfunction_name = "f"\nschedule = "@daily"\nqueue_name = "{}"\n'
    text = "[rrq]\n" + entry.format("monitoring") + entry.format("default")
    Path(world.folder, "rrq.toml").write_text(text)
    world.register()
    answer = world.rrq("check")
    assert answer.code == 0
    assert "no live orchestrator serves its queue monitoring, so its jobs wait" in answer.words
    assert len(world.rrq("check", "--json").json["findings"]) == 1


def test_lists_of_the_wrong_type_are_findings(world: World) -> None:
    """Where the lease rows are no sorted set, that is told, and nobody is alive."""
    world.redis.set(world.keys.workers, "x")
    answer = world.rrq("check")
    assert (answer.code, "wrong type" in answer.words) == (1, True)


def test_the_command_to_start_one_has_the_options(world: World) -> None:
    """What is advised starts an orchestrator for this very key space."""
    assert "`rrq --prefix other worker run`" in world.rrq("--prefix", "other", "check").words


def test_the_settings_of_a_program_say_where_to_look(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """`rrq check --settings …` asks the server that the object names, be it RRQSettings or handlers that hold
    them; options of the command line stand above it. Handlers alone leave it to the file and the environment,
    which is told."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path(world.folder, "checked_app.py").write_text(
        "from rrq_protocol.old_names import RRQSettings\n"
        "from rrq_runner import Registry\n"
        "from rrq_runner.compat import PythonRunnerSettings\n"
        f"here = RRQSettings(redis_dsn={world.url!r}, key_prefix={world.keys.prefix!r})\n"
        "away = RRQSettings(redis_dsn='redis://127.0.0.1:1/0')\n"
        "handlers = PythonRunnerSettings(Registry(), rrq_settings=here)\n"
        "alone = Registry()\n"
    )
    world.register(host="h", pid=7)
    empty = {"RRQ_REDIS_DSN": "redis://127.0.0.1:2/0", "RRQ_KEY_PREFIX": "none"}
    for name in ("here", "handlers"):
        answer = world.rrq("check", "--settings", f"checked_app.{name}", "--json", environment=empty)
        assert (answer.code, answer.json["healthy"], answer.err) == (0, True, "")
    answer = world.rrq("check", "--settings", "checked_app:away")
    assert (answer.code, "127.0.0.1:1/0" in answer.err) == (1, True)
    above = ("--redis-dsn", world.url, "--prefix", world.keys.prefix)
    assert world.rrq(*above, "check", "--settings", "checked_app:away", environment=empty).code == 0
    answer = world.rrq("check", "--settings", "checked_app:alone")
    assert (answer.code, "holds handlers alone" in answer.err) == (0, True)


@pytest.mark.parametrize("reference", ["no.such.thing", "json:dumps", "json:nothing", "nonsense"])
def test_settings_that_are_none_are_told_in_one_line(
    world: World, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    """Exit code 78, with what was expected; nothing is asked of the default server."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    answer = world.rrq("check", "--settings", reference)
    assert (answer.code, answer.out) == (78, "")
    assert reference in answer.err
    assert len(answer.err.strip().splitlines()) <= 2
