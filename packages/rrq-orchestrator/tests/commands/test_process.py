"""An orchestrator process around a stand-in orchestrator: exit codes, signals, streams."""

import json
import os
import signal
from pathlib import Path

import pytest

from support.processes import Command

# Runs a stand-in whose run() is given on the command line, and ends with the process's exit code.
PROGRAM = """
import asyncio, sys
import click
from rrq_orchestrator.commands.process import keep_standard_streams, run_orchestrator
from rrq_orchestrator.errors import RedisRefused
from rrq_protocol import Secret, Settings

class StandIn:
    def __init__(self, log):
        self.log, self.requests, self.asked = log, 0, asyncio.Event()

    def request_stop(self):
        self.requests += 1
        self.asked.set()

    def request_restart(self):
        self.log.info("stand_in.restart")

    async def run(self):
        self.log.info("stand_in.runs")
        return await eval(sys.argv[1])(self)

async def until_asked(it):
    await it.asked.wait()
    return 0

async def until_asked_twice(it):
    while it.requests < 2:
        it.asked.clear()
        await it.asked.wait()
    return 3

async def refuse(it):
    raise RedisRefused("localhost", "WRONGPASS")

async def crash(it):
    raise RuntimeError("a defect")

async def stray(it):
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return 0

keep_standard_streams()
settings = Settings(redis_dsn=Secret("redis://localhost:1"))
try:
    sys.exit(int(run_orchestrator(settings, factory=lambda settings, target, burst, log: StandIn(log))))
except click.exceptions.Exit as stop:
    sys.exit(stop.exit_code)
"""


def _stand_in(run: str, folder: Path) -> Command:
    return Command("-c", PROGRAM, run, cwd=folder)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_request_to_stop(tmp_path: Path, number: int) -> None:
    """The process ends with what the orchestrator returns."""
    with _stand_in("until_asked", tmp_path) as command:
        command.wait_for("stand_in.runs")
        command.kill(number)
        assert command.code() == 0


def test_a_second_signal_is_passed_on(tmp_path: Path) -> None:
    """Two requests that are apart reach the orchestrator as two; its code is the exit code."""
    with _stand_in("until_asked_twice", tmp_path) as command:
        command.wait_for("stand_in.runs")
        command.kill(signal.SIGTERM)
        command.wait_for('"drain"')
        while command.process.poll() is None:  # within a burst they count as one
            command.kill(signal.SIGINT)
        assert command.code() == 3


def test_a_storm_of_hangups_asks_for_new_runner_processes(tmp_path: Path) -> None:
    """A thousand SIGHUPs are few requests, and the process goes on."""
    with _stand_in("until_asked", tmp_path) as command:
        command.wait_for("stand_in.runs")
        for _ in range(1000):
            command.kill(signal.SIGHUP)
        command.wait_for("stand_in.restart")
        command.kill(signal.SIGTERM)
        assert command.code() == 0
        assert 1 <= sum("stand_in.restart" in line for line in command.lines) < 100


def test_a_refusal_is_a_matter_of_configuration(tmp_path: Path) -> None:
    """Redis said no: one message, 78."""
    with _stand_in("refuse", tmp_path) as command:
        assert command.code() == 78
        assert "rrq: Redis at localhost refuses: WRONGPASS" in command.lines[-1]
        assert "Traceback" not in "".join(command.lines)


def test_a_defect_is_logged_with_its_traceback(tmp_path: Path) -> None:
    """As an event like any other, and the exit code is 1."""
    with _stand_in("crash", tmp_path) as command:
        assert command.code() == 1
        event = command.events()[-1]
        assert event["event"] == "orchestrator.crashed"
        assert event["exception"].endswith("RuntimeError: a defect")


def test_errors_of_the_event_loop_are_events(tmp_path: Path) -> None:
    """What asyncio reports goes through the log as well, not past it to standard error."""
    with _stand_in("stray", tmp_path) as command:
        assert command.code() == 0
        assert all(line.startswith("{") for line in command.lines)
        assert "ZeroDivisionError" in command.wait_for("library.log")


def test_without_runners_it_says_so(tmp_path: Path) -> None:
    """It may still recover and schedule, but a newcomer gets a hint."""
    with _stand_in("until_asked", tmp_path) as command:
        assert "rrq.runners.python" in json.loads(command.wait_for("runners.none_configured"))["hint"]
        command.wait_for("stand_in.runs")
        command.kill(signal.SIGTERM)
        assert command.code() == 0


def test_closed_standard_streams_are_replaced(tmp_path: Path) -> None:
    """No file or socket of ours gets their numbers, so nobody's output lands in it."""
    program = (
        "import os, sys; os.closerange(0, 3)\n"
        "from rrq_orchestrator.commands.process import keep_standard_streams\n"
        "keep_standard_streams()\n"
        f"open({str(tmp_path / 'out')!r}, 'w').write(str([os.fstat(fd).st_rdev for fd in range(3)]))"
    )
    with Command("-c", program, cwd=tmp_path) as command:
        assert command.code() == 0
    assert json.loads((tmp_path / "out").read_text()) == [Path(os.devnull).stat().st_rdev] * 3


def test_telemetry_that_cannot_be_had_is_a_matter_of_configuration(tmp_path: Path) -> None:
    """One message, 78, and the orchestrator never begins."""
    program = PROGRAM.replace(
        'Secret("redis://localhost:1")', 'Secret("redis://localhost:1"), telemetry="otel"'
    )
    env = {"OTEL_TRACES_EXPORTER": "zipkin"}
    with Command("-c", program, "until_asked", cwd=tmp_path, env=env) as command:
        assert command.code() == 78
    assert any("OTEL_TRACES_EXPORTER: expected otlp" in line for line in command.lines)
    assert not any("stand_in.runs" in line or "Traceback" in line for line in command.lines)
