"""What is painted again and again, on a real terminal."""

import os
import signal
import sys
import tty

import pytest

from rrq_cli.exits import UsageProblem
from rrq_cli.screen import Screen
from support.cli import World
from support.terminal import Terminal


def test_a_screen_needs_a_terminal() -> None:
    """In a pipe there is nothing to paint on."""
    with pytest.raises(UsageProblem, match="top needs a terminal"):
        Screen("top")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_figures_are_repainted_until_ctrl_c(world: World, number: signal.Signals) -> None:
    """New jobs are seen, and the terminal is given back as it was, however the watch ends."""
    world.enqueue()
    args = ["queue", "stats", "--watch", "--interval", "0.1"]
    with Terminal(args, world.environment, world.folder) as terminal:
        terminal.wait_for("Throughput")
        assert terminal.raw.startswith("\x1b[?1049h")
        world.enqueue(queue_name="media")
        terminal.wait_for("media")
        terminal.process.send_signal(number)
        assert terminal.wait_for_end() == 0
        assert terminal.raw.endswith("\x1b[?25h\x1b[?1049l")
        assert "Traceback" not in terminal.text


def test_keys_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that sends several characters is one key, known or not."""
    controller, terminal = os.openpty()
    with os.fdopen(controller, "wb", buffering=0) as typing, os.fdopen(terminal, "r+b", buffering=0) as end:
        tty.setraw(end.fileno())
        monkeypatch.setattr(sys, "stdout", end)
        monkeypatch.setattr(sys, "stdin", end)
        screen = Screen("it", keys=True)
        typing.write(b"\x1b[A\x1bOBq\x1b[5~\x1b[15~\x1b[1;5Dx\x1bx\xc3\xa9\t\x1b[H\x1b")
        assert [screen.key(20) for _ in range(4)] == ["up", "down", "q", "page_up"]
        assert [screen.key(20) for _ in range(4)] == ["unknown", "unknown", "x", "unknown"]
        assert [screen.key(20) for _ in range(3)] == ["é", "tab", "home"]
        assert screen.key(20) == "escape"
        assert screen.key(0) is None


def test_a_small_terminal_shows_what_fits(world: World) -> None:
    """No line is wider and no paint is longer than the window."""
    for number in range(12):
        world.enqueue(queue_name=f"queue-with-a-long-name-{number}")
    args = ["queue", "stats", "--watch"]
    with Terminal(args, world.environment, world.folder, size=(8, 40)) as terminal:
        terminal.wait_for("queue-wit")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.wait_for_end() == 0
        lines = terminal.text.split("\n")
        assert len(lines) <= 8
        assert all(len(line) <= 40 for line in lines)
