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
        process.signal_group(signal.SIGTERM)


async def test_it_leads_its_own_session() -> None:
    """A Ctrl-C at our terminal does not reach it; its group can be signalled as a whole."""
    async with started("import time; time.sleep(600)") as process:
        assert os.getsid(process.pid) == process.pid != os.getsid(0)
        process.signal_group(signal.SIGINT)
        assert await exited(process) != 0


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
    """The process holds the reading end of a pipe, which ends when we let go of it."""
    code = "import os; fd = int(os.environ['CONTROL']); assert os.read(fd, 1) == b''; raise SystemExit(5)"
    async with started(code) as process:
        with anyio.move_on_after(0.2):
            await process.exited.wait()
        assert not process.exited.is_set()
        process.close()
        assert await exited(process) == 5


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
    """A grandchild in a session of its own may hold the pipe; the wait for its end is bounded (F79)."""
    code = (
        "import subprocess, sys; "
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'], "
        "start_new_session=True); print(child.pid, flush=True)"
    )
    async with started(code) as process:
        log, _ = capturing_log()
        await process.capture(log, stdout=True)
        await exited(process)
        await process.outputs_closed(0.1)
        (child,) = map(int, process.tail())
        os.kill(child, signal.SIGKILL)


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
        assert await exited(process) == 0
        process.close()
        assert is_gone(process.pid)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
