"""A runner process is its own session, is reaped at once, and takes its group along."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest

from rrq_orchestrator.runners.process import RunnerProcess, StartFailed, exit_text, start_process
from rrq_orchestrator.runners.termination import kill
from support.runner_pools import PATIENCE_S, capturing_log, is_gone

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def started(code: str) -> AsyncIterator[RunnerProcess]:
    """Run Python code as a runner process; end it afterwards."""
    process = start_process([sys.executable, "-S", "-c", code], environment)
    await process.identified()
    try:
        yield process
    finally:
        await kill(process)
        process.close()


def environment(control_fd: int) -> dict[str, str]:
    """Return a small environment."""
    return {"PATH": os.environ["PATH"], "CONTROL": str(control_fd)}


async def exited(process: RunnerProcess) -> int | None:
    """Wait for the end; return how it ended."""
    with anyio.fail_after(PATIENCE_S):
        await process.exited.wait()
    return process.returncode


@pytest.mark.parametrize(
    ("code", "returncode", "text"),
    [
        ("pass", 0, "exited with code 0"),
        ("raise SystemExit(7)", 7, "exited with code 7"),
        ("import os; os.kill(os.getpid(), 15)", -15, "was killed by SIGTERM"),
    ],
)
async def test_the_end_is_noticed_and_told(code: str, returncode: int, text: str) -> None:
    """Code or signal are known, in words too, and no zombie is left (F23)."""
    told: list[int | None] = []
    async with started(code) as process:
        process.on_exit = lambda: told.append(process.returncode)
        assert await exited(process) == returncode
        assert told == [returncode]
        assert exit_text(returncode) == text
        assert is_gone(process.pid)
        process.ask_to_end()


async def test_it_leads_its_own_session() -> None:
    """A Ctrl-C at our terminal does not reach it; it hears once that it is to end."""
    code = (
        "import os, signal, time; signal.signal(signal.SIGTERM, lambda *_: os.write(1, b'asked\\n')); "
        "print('up', flush=True); time.sleep(0.3); time.sleep(600)"
    )
    async with started(code) as process:
        log, logs = capturing_log()
        await process.capture(log, stdout=True)
        with anyio.fail_after(PATIENCE_S):
            while not logs.entries:  # noqa: ASYNC110  # the log tells nobody
                await anyio.sleep(0.01)
        assert os.getsid(process.pid) == process.pid != os.getsid(0)
        process.ask_to_end()
        with anyio.move_on_after(0.2):
            await process.exited.wait()
        await kill(process)
        await process.outputs_closed(PATIENCE_S)
        assert process.tail() == ["up", "asked"]


async def test_what_it_leaves_in_its_group_is_ended() -> None:
    """Children that outlive the leader are killed the moment it ends."""
    code = (
        "import subprocess, sys; "
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'], stderr=-3); "
        "print(child.pid, flush=True)"
    )
    async with started(code) as process:
        log, _ = capturing_log()
        await process.capture(log, stdout=True)
        assert await exited(process) == 0
        await process.outputs_closed(PATIENCE_S)
        (child,) = map(int, process.tail())
        await kill(process)
        assert is_gone(child)


async def test_the_control_pipe_ends_with_us() -> None:
    """The process holds the reading end of a pipe; when we let go of the other, it has to go as well."""
    code = "import os; fd = int(os.environ['CONTROL']); os.read(fd, 1); import time; time.sleep(600)"
    async with started(code) as process:
        with anyio.move_on_after(0.2):
            await process.exited.wait()
        assert not process.exited.is_set()
        process.close()
        assert await exited(process) == -signal.SIGKILL


async def test_a_killed_guard_takes_its_process_along() -> None:
    """Somebody killed the process between us and the runner: the runner, its group, and an orphan that left
    it end too.
    """
    code = (
        "import os, subprocess, sys, time; "
        "start = lambda code: subprocess.Popen([sys.executable, '-S', '-c', code], stderr=-3, stdout=-1); "
        "child = start('import time; time.sleep(600)'); "
        "parent = start('import os, time; os.fork() and os._exit(0); os.setsid(); '"
        "'print(os.getpid(), flush=True); time.sleep(600)'); "
        "orphan = int(parent.stdout.readline()); parent.wait(); "
        "print(os.getppid(), child.pid, orphan, flush=True); time.sleep(600)"
    )
    async with started(code) as process:
        log, logs = capturing_log()
        await process.capture(log, stdout=True)
        with anyio.fail_after(PATIENCE_S):
            while not logs.entries:  # noqa: ASYNC110  # the log tells nobody
                await anyio.sleep(0.01)
        guard, child, orphan = map(int, logs.entries[0]["line"].split())
        os.kill(guard, signal.SIGKILL)
        assert await exited(process) == -signal.SIGKILL
        with anyio.fail_after(PATIENCE_S):
            while not all(map(is_gone, (process.pid, child, orphan))):  # noqa: ASYNC110  # no children of ours
                await anyio.sleep(0.01)


async def test_output_is_captured_and_its_end_kept() -> None:
    """Both streams are relayed with their name; the last lines can be asked for."""
    async with started("import sys; print('out'); print('err', file=sys.stderr)") as process:
        log, logs = capturing_log()
        await process.capture(log, stdout=True)
        await exited(process)
        await process.outputs_closed(PATIENCE_S)
        said = {(entry["stream"], entry["line"]) for entry in logs.entries}
        assert said == {("stdout", "out"), ("stderr", "err")}
        assert process.tail() == ["err", "out"]
        assert {entry["pid"] for entry in logs.entries} == {process.pid}


async def test_a_stream_kept_open_by_another_does_not_hold_us() -> None:
    """A process elsewhere may hold the pipe; the wait for its end is bounded (F79)."""
    async with started("print('said')") as process:
        log, _ = capturing_log()
        assert process.stdout is not None
        held = os.open(f"/proc/self/fd/{process.stdout.fileno()}", os.O_WRONLY)
        await process.capture(log, stdout=True)
        await exited(process)
        await process.outputs_closed(0.1)
        assert process.tail() == ["said"]
        os.close(held)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["no-such-program"], "command not found"),
        (["./no/such/program"], "command not found"),
        (["/"], "cannot start"),
    ],
)
async def test_what_cannot_be_started_says_so(command: Sequence[str], said: str) -> None:
    """A missing program is found before anything runs, anything else is the system's answer; no descriptor
    leaks."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    if command == ["/"]:
        process = start_process(command, environment)
        assert await exited(process) in (126, 127)
        process.close()
    else:
        with pytest.raises(StartFailed, match=said):
            start_process(command, environment)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


async def test_many_processes_leave_no_zombie_and_no_descriptor() -> None:
    """Processes that come and go leave neither (F23)."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(30):
        process = start_process(["true"], environment)
        assert await process.identified()
        assert await exited(process) == 0
        process.close()
        assert is_gone(process.pid)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
