"""The small program between fork and exec ties a runner's life to ours, and then is the runner."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from rrq_orchestrator.runners import launcher
from support.runner_pools import PATIENCE_S, fake_command, is_gone

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the parent-death signal is Linux's"),
]

ORCHESTRATOR = """
import random, sys
import anyio, structlog
from support.runner_pools import Recorder, capturing_log, fake_command
from rrq_orchestrator.runners.factory import make_runners
from rrq_protocol import RunnerConfig, Settings

async def main():
    recorder = Recorder()
    config = RunnerConfig(cmd=fake_command(sys.argv[1]), pool_size=2)
    runner = make_runners(
        Settings(runners={"fake": config}), recorder, log=capturing_log()[0], random=random.Random(1)
    )["fake"]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runner.run)
        await recorder.until(lambda: runner.capacity == 2)
        print(*runner.pids(), flush=True)
        await anyio.sleep(600)

anyio.run(main)
"""


def launch(*command: str, parent: int | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command through the launcher."""
    wrapped = launcher.wrapped(list(command))
    if parent is not None:
        wrapped[4] = str(parent)
    return subprocess.run(wrapped, capture_output=True, text=True, check=False)


def test_it_becomes_the_command() -> None:
    """Arguments, output and exit code are the command's."""
    code = "import sys; print(sys.argv[1:]); raise SystemExit(3)"
    done = launch(sys.executable, "-S", "-c", code, "a b", "--", "c")
    assert done.returncode == 3
    assert done.stdout == "['a b', '--', 'c']\n"
    assert done.stderr == ""


def test_the_command_starts_with_ordinary_signals() -> None:
    """Signals Python ignores for itself are not ignored in the command."""
    done = launch("sh", "-c", "grep SigIgn /proc/self/status")
    assert int(done.stdout.split()[1], 16) & (1 << (signal.SIGPIPE - 1)) == 0


def test_a_missing_command_has_a_message() -> None:
    """No traceback, and the exit code shells use."""
    done = launch("no-such-program")
    assert done.returncode == launcher.COMMAND_NOT_FOUND
    assert done.stderr == "cannot run 'no-such-program': No such file or directory\n"
    assert launch("/").returncode == launcher.COMMAND_NOT_RUNNABLE


def test_an_orphan_does_not_become_the_command() -> None:
    """If the parent died before the signal was set, the command never runs."""
    done = launch("echo", "ran", parent=2**22 + 1)
    assert done.returncode == 1
    assert done.stdout == ""


@pytest.mark.parametrize("how", ["serve", "stubborn"])
async def test_runners_die_with_a_killed_orchestrator(how: str, tmp_path: Path) -> None:
    """SIGKILL of the orchestrator ends its runners within a second, those that ignore signals too (F21)."""
    tests = Path(sys.modules["support.runner_pools"].__file__ or "").parent.parent
    env = {**os.environ, "PYTHONPATH": str(tests), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", ORCHESTRATOR, how]
    async with await anyio.open_process(command, env=env, stderr=None) as orchestrator:
        assert orchestrator.stdout is not None
        with anyio.fail_after(PATIENCE_S):
            line = await orchestrator.stdout.receive()
            while not line.endswith(b"\n"):
                line += await orchestrator.stdout.receive()
        pids = [int(text) for text in line.split()]
        assert len(pids) == 2
        assert not any(map(is_gone, pids))
        orchestrator.kill()
        with anyio.fail_after(PATIENCE_S):
            while not all(map(is_gone, pids)):  # noqa: ASYNC110  # they are not our children
                await anyio.sleep(0.01)


def test_fakes_are_found() -> None:
    """The command of the fake runners exists, or the tests above would mean nothing."""
    assert Path(fake_command()[2]).exists()
