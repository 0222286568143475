"""The guard between us and a runner process: nothing that ever ran below it outlives it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from rrq_orchestrator.runners import guard
from support.runner_pools import PATIENCE_S, fake_command, is_gone
from support.waiting import eventually

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="subreapers are Linux's"),
]

ORCHESTRATOR = """
import random, sys
import anyio, structlog
from support.runner_pools import Recorder, capturing_log, fake_command, make_request
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
        pids = list(runner.pids())
        if sys.argv[1] == "serve":
            for number in range(2):
                runner.submit(make_request(f"r{number}", "family"))
            await recorder.until(lambda: len(recorder.outcomes) == 2)
            pids += recorder.result("r0") + recorder.result("r1")
        print(*pids, flush=True)
        await anyio.sleep(600)

anyio.run(main)
"""


class Guarded:
    """A command under a guard, as the orchestrator starts it."""

    def __init__(self, *command: str) -> None:
        control, status = os.pipe(), os.pipe()
        arguments, environment = guard.guarded(list(command), dict(os.environ), control[0], status[1])
        self.process = subprocess.Popen(
            arguments,
            env=environment,
            pass_fds=(control[0], status[1]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(control[0])
        os.close(status[1])
        self._control = control[1]
        self._status = os.fdopen(status[0])

    def let_go(self) -> None:
        """Close the control pipe, as the end of the orchestrator does."""
        if self._control >= 0:
            os.close(self._control)
            self._control = -1

    def started(self) -> int:
        """Wait for the command's process id."""
        word, pid = self._status.readline().split()
        assert word == "started"
        return int(pid)

    def ended(self) -> tuple[str, str, str]:
        """Wait for the end: what the guard told of it, and all of the command's output."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        lines = self._status.read().splitlines()
        self._status.close()
        self.let_go()
        assert self.process.returncode == 0
        return lines[-1], out, err


def run(*command: str) -> tuple[str, str, str]:
    """Run a command under a guard to its end."""
    return Guarded(*command).ended()


def test_the_command_is_run_as_it_is() -> None:
    """Arguments, output and exit code are the command's."""
    code = "import sys; print(sys.argv[1:]); raise SystemExit(3)"
    told, out, err = run(sys.executable, "-S", "-c", code, "a b", "--", "c\u00e9")
    assert (told, out, err) == ("ended 3 0", "['a b', '--', 'c\u00e9']\n", "")


def test_the_command_starts_with_ordinary_signals() -> None:
    """Signals that Python or the guard ignore are not ignored in the command, nor blocked."""
    _, out, _ = run("sh", "-c", "grep -E 'Sig(Ign|Blk)' /proc/self/status")
    # The C library keeps two signals above the ordinary ones for itself, blocked now and then.
    ordinary = (1 << 31) - 1
    assert [int(line.split()[1], 16) & ordinary for line in out.splitlines()] == [0, 0]


def test_the_command_finds_nothing_of_the_guard() -> None:
    """Neither its variable nor its end of the pipe; and who looks for the command finds one process."""
    code = "import os; print(os.environ.get('RRQ_GUARD_COMMAND'), len(os.listdir('/proc/self/fd')))"
    _, out, _ = run(sys.executable, "-S", "-c", code)
    # The three streams, the control pipe, and the folder just being read.
    assert out == "None 5\n"
    arguments, environment = guard.guarded(["secret-service", "--flag"], {}, 3, 4)
    assert not any("secret-service" in each for each in arguments)
    assert list(environment) == [guard.COMMAND_VARIABLE]


def test_a_missing_command_has_a_message() -> None:
    """No traceback, and the exit code shells use."""
    told, _, err = run("no-such-program")
    assert told == f"ended {guard.COMMAND_NOT_FOUND} 0"
    assert err == "cannot run 'no-such-program': No such file or directory\n"
    assert run("/")[0] == f"ended {guard.COMMAND_NOT_RUNNABLE} 0"


def test_sigterm_is_passed_on_and_other_signals_are_not() -> None:
    """The guard outlives both."""
    guarded = Guarded("sh", "-c", "trap 'echo asked; exit 7' TERM; echo up; while :; do sleep 0.05; done")
    guarded.started()
    assert guarded.process.stdout is not None
    assert guarded.process.stdout.readline() == "up\n"
    guarded.process.send_signal(signal.SIGINT)
    guarded.process.send_signal(signal.SIGHUP)
    guarded.process.send_signal(signal.SIGTERM)
    told, out, _ = guarded.ended()
    assert (told, out) == ("ended 7 0", "asked\n")


def test_orphans_are_reaped_while_the_command_runs() -> None:
    """What a handler orphans becomes the guard's child; dead, it leaves no zombie (F23)."""
    guarded = Guarded("sh", "-c", "(true & echo $!) ; echo up; exec sleep 600")
    guarded.started()
    assert guarded.process.stdout is not None
    orphan = int(guarded.process.stdout.readline())
    eventually(lambda: not Path(f"/proc/{orphan}").exists(), "the orphan to be reaped")
    guarded.let_go()
    assert guarded.ended()[0] == "ended -9 0"


def test_a_process_that_keeps_forking_is_ended() -> None:
    """Killing goes on until nobody is left: each link of this chain makes the next one before it ends."""
    code = (
        "import os, sys, time\n"
        "while True:\n"
        "    if os.fork():\n"
        "        time.sleep(0.002)\n"
        "        os._exit(0)\n"
        "    os.setsid()\n"
    )
    chain = Guarded("sh", "-c", f'"{sys.executable}" -S -c "$0" & sleep 0.3; exit 4', code)
    assert chain.ended()[0] == "ended 4 0"


@pytest.mark.parametrize("how", ["serve", "stubborn"])
async def test_runners_die_with_a_killed_orchestrator(how: str, tmp_path: Path) -> None:
    """SIGKILL of the orchestrator ends its runners within a second, those that ignore signals too, and what
    their handlers have started, in sessions of their own and orphaned (F21, F22)."""
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
        assert len(pids) == (8 if how == "serve" else 2)
        assert not any(map(is_gone, pids))
        orchestrator.kill()
        with anyio.fail_after(2):
            while not all(map(is_gone, pids)):  # noqa: ASYNC110  # they are not our children
                await anyio.sleep(0.01)


def test_fakes_are_found() -> None:
    """The command of the fake runners exists, or the tests above would mean nothing."""
    assert Path(fake_command()[2]).exists()
