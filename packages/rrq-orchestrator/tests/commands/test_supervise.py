"""A parent and its orchestrator, real processes both."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from rrq_orchestrator.commands.supervise import supervise
from rrq_protocol import Settings
from support.processes import Command, wait_until_gone
from support.runner_pools import capturing_log
from support.waiting import eventually


def codes(tmp_path: Path, *ends: str) -> list[str]:
    """Return a command that ends in these ways, one after the other, counted by lines of a file."""
    script = (
        "import os, pathlib, signal, sys\n"
        f"log = pathlib.Path({str(tmp_path / 'starts')!r})\n"
        "n = len(log.read_text().splitlines()) if log.exists() else 0\n"
        "log.open('a').write(os.environ['RRQ_SUPERVISED_BY'] + '\\n')\n"
        f"end = {list(ends)!r}[n]\n"
        "os.kill(os.getpid(), int(end[1:])) if end[0] == '-' else sys.exit(int(end))\n"
    )
    return [sys.executable, "-S", "-c", script]


@pytest.mark.parametrize("code", [0, 2, 3, 78])
def test_an_end_that_means_something_is_passed_on(tmp_path: Path, code: int) -> None:
    """Stopped, used wrongly, configured wrongly, forced: another start would not help."""
    log, _ = capturing_log()
    given: list[str] = []

    def give_back(settings: Settings, token: str) -> dict[str, int]:
        given.append(token)
        return {}

    assert supervise(codes(tmp_path, str(code)), Settings(), log, give_back=give_back) == code
    assert given == []


def test_a_dead_child_is_followed_by_another(tmp_path: Path) -> None:
    """Each death is told and its jobs are given back by its own token, also when that fails; then it starts
    again."""
    log, logs = capturing_log()
    given: list[str] = []

    def give_back(settings: Settings, token: str) -> dict[str, int]:
        given.append(token)
        if len(given) == 1:
            raise ConnectionError("no Redis")
        return {"recovered": 2}

    assert supervise(codes(tmp_path, "-9", "1", "0"), Settings(), log, give_back=give_back) == 0
    tokens = [line.partition(":")[2] for line in (tmp_path / "starts").read_text().splitlines()]
    assert given == tokens[:2]
    assert len(set(tokens)) == 3
    events: list[dict[str, Any]] = [dict(entry) for entry in logs.entries]
    assert [each.get("end") for each in events if each["event"] == "orchestrator.died"] == [
        "killed by SIGKILL",
        "exited with 1",
    ]
    assert [each["event"] for each in events if "given_back" in each["event"]] == [
        "orchestrator.not_given_back",
        "orchestrator.given_back",
    ]


@pytest.fixture
def parent(redis_url: str, tmp_path: Path, keyspace: Any) -> Any:
    """Run a supervised orchestrator without runners."""
    arguments = ("--supervise", "--prefix", keyspace.prefix, "--log-format", "json")
    with Command("rrq_orchestrator", *arguments, cwd=tmp_path, env={"RRQ_REDIS_DSN": redis_url}) as command:
        yield command


def child_pid(event: dict[str, Any]) -> int:
    """Return the process id in a registered id."""
    return int(str(event["orchestrator"]).split("_")[-2])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_reaches_the_child_and_its_code_comes_back(parent: Command, number: int) -> None:
    """The orchestrator drains; nothing starts after it."""
    parent.wait_for("orchestrator.registered")
    parent.kill(number)
    assert parent.code() == 0
    events = [event["event"] for event in parent.events()]
    assert events[-1] == "orchestrator.stopped"
    assert "orchestrator.died" not in events


def test_a_killed_child_is_replaced(parent: Command) -> None:
    """The dead one is off the list at once, and the next one registers under another id."""
    parent.wait_for("orchestrator.registered")
    (first,) = parent.named("orchestrator.registered")
    os.kill(child_pid(first), signal.SIGKILL)
    parent.wait_for("orchestrator.given_back")
    second = eventually(lambda: parent.named("orchestrator.registered")[1:], "another registration")[0]
    assert second["orchestrator"] != first["orchestrator"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel sends the signal on Linux only")
def test_a_child_goes_with_a_killed_parent(parent: Command) -> None:
    """It stops in order, as if told to."""
    parent.wait_for("orchestrator.registered")
    (first,) = parent.named("orchestrator.registered")
    parent.kill(signal.SIGKILL)
    wait_until_gone([child_pid(first)])
