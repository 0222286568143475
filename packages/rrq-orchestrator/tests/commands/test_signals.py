"""What signals mean (RELIABILITY.md F18 to F20)."""

import asyncio
import signal
import subprocess
import sys
from typing import Any

import pytest

from rrq_orchestrator.commands.signals import Stops


class Heard:
    """Counts requests to stop, and keeps log events."""

    def __init__(self) -> None:
        self.requests = 0
        self.events: list[tuple[str, str]] = []
        self.settings: str | None = None
        self.now = 100.0
        self.restarts = 0
        self.restarted = asyncio.Event()

    def request_stop(self) -> None:
        """Count."""
        self.requests += 1

    def request_restart(self) -> None:
        """Count."""
        self.restarts += 1
        self.restarted.set()

    def info(self, event: str, **fields: Any) -> None:
        """Keep the event."""
        self.events.append((event, fields["action"]))
        self.settings = fields.get("settings")

    def stops(self, *, hangup_stops: bool = False) -> Stops:
        """Return what is tested, with a clock of ours."""
        return Stops(self, hangup_stops=hangup_stops, now=lambda: self.now)


def test_the_first_drains_and_the_second_is_fast() -> None:
    """Further ones change nothing any more."""
    heard = Heard()
    stops = heard.stops()
    stops.attach(heard)
    for expected in (1, 2, 2):
        stops.stop(signal.SIGTERM)
        assert heard.requests == expected
        heard.now += 1
    assert heard.events == [("signal.received", "drain"), ("signal.received", "stop fast")]


def test_a_burst_is_one_request() -> None:
    """Ctrl-C that a parent passes on as well does not skip the draining; a storm is two requests."""
    heard = Heard()
    stops = heard.stops()
    stops.attach(heard)
    stops.stop(signal.SIGINT)
    stops.stop(signal.SIGINT)
    assert heard.requests == 1
    for _ in range(1000):
        heard.now += 0.001
        stops.stop(signal.SIGTERM)
    assert heard.requests == 2
    assert len(heard.events) == 2


def test_a_stop_before_there_is_anything_to_stop_is_kept() -> None:
    """It is passed on as soon as there is."""
    heard = Heard()
    stops = heard.stops()
    stops.stop(signal.SIGTERM)
    assert heard.requests == 0
    stops.attach(heard)
    assert heard.requests == 1


@pytest.mark.anyio
async def test_a_storm_of_hangups_is_one_request_for_new_processes() -> None:
    """Made after the last of them; the next one is another (F81)."""
    heard = Heard()
    stops = heard.stops()
    stops.attach(heard)
    for expected in (1, 2):
        stops.install(asyncio.get_running_loop())
        for _ in range(1000):
            stops.hangup()
        assert heard.restarts == expected - 1
        async with asyncio.timeout(20):
            await heard.restarted.wait()
        heard.restarted.clear()
        assert heard.restarts == expected
    assert heard.requests == 0
    assert heard.events == [("signal.received", "replace the runner processes")] * 2
    assert heard.settings == "not read again; restart the orchestrator for changed ones"


def test_the_end_of_the_terminal_ends_a_development_run() -> None:
    """For `rrq dev` a hangup is a request to stop."""
    heard = Heard()
    stops = heard.stops(hangup_stops=True)
    stops.attach(heard)
    stops.hangup()
    assert heard.requests == 1


@pytest.mark.parametrize("before", [signal.SIG_DFL, signal.SIG_IGN])
def test_nohup_is_respected(before: signal.Handlers) -> None:
    """A SIGHUP that the parent has switched off stays so."""
    kept = signal.signal(signal.SIGHUP, before)
    loop = asyncio.new_event_loop()
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    old = {number: signal.getsignal(number) for number in numbers}
    try:
        Heard().stops(hangup_stops=True).install(loop)
        assert (signal.getsignal(signal.SIGHUP) is signal.SIG_IGN) is (before is signal.SIG_IGN)
    finally:
        loop.close()
        for number in numbers:
            signal.signal(number, old[number])
        signal.signal(signal.SIGHUP, kept)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_the_program_loads_is_an_end_in_order(number: signal.Signals) -> None:
    """Nothing has begun: code 0, and no traceback (F18)."""
    code = (
        "import os, sys\n"
        "from rrq_orchestrator.__main__ import main\n"
        "class Stop:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == 'rrq_orchestrator.commands.worker': os.kill(os.getpid(), {number.value})\n"
        "sys.meta_path.insert(0, Stop())\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
