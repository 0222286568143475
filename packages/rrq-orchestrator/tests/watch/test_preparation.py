"""Commands before a start, as real processes."""

import asyncio
import sys
from pathlib import Path

import pytest
import structlog

from rrq_orchestrator.watch.preparation import run_commands
from support.processes import wait_until_gone
from support.waiting import eventually

pytestmark = pytest.mark.anyio
PYTHON = (sys.executable, "-c")
WRITE_PID = (
    "import os, time; open('pid', 'w').write(str(os.getpid())); os.rename('pid', 'done'); time.sleep(600)"
)


async def _run(
    commands: list[tuple[str, ...]], cwd: Path, timeout_s: float | None = None
) -> tuple[bool, str]:
    with structlog.testing.capture_logs() as events:
        good = await run_commands(commands, cwd=cwd, timeout_s=timeout_s, log=structlog.get_logger())
    return good, "".join(str(event["problem"]) for event in events if "problem" in event)


async def test_they_run_in_their_order_in_their_folder(tmp_path: Path) -> None:
    """The second one sees what the first one wrote."""
    (tmp_path / "in").mkdir()
    first = (*PYTHON, "open('made', 'w').write('x')")
    second = (*PYTHON, "import os; os.rename('made', 'renamed')")
    assert await _run([first, second], tmp_path / "in") == (True, "")
    assert (tmp_path / "in" / "renamed").exists()


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ((*PYTHON, "raise SystemExit(3)"), "exited with 3"),
        ((*PYTHON, "import os; os.kill(os.getpid(), 9)"), "killed by SIGKILL"),
        (("no-such-command-here",), "cannot be started"),
    ],
)
async def test_one_that_fails_is_explained_and_the_last(
    command: tuple[str, ...], problem: str, tmp_path: Path
) -> None:
    """The following ones do not run."""
    good, said = await _run([command, (*PYTHON, "open('made', 'w')")], tmp_path)
    assert not good
    assert problem in said
    assert not (tmp_path / "made").exists()


async def test_what_one_prints_becomes_events(tmp_path: Path) -> None:
    """Of both streams, with the command, as the output of runners does: a log of JSON stays one."""
    said = ["print('made 3 files')", "print('{\"a\": 1}')", "print('careful', file=sys.stderr, end='')"]
    program = "; ".join(["import sys", *said])
    with structlog.testing.capture_logs() as events:
        assert await run_commands(
            [(*PYTHON, program)], cwd=tmp_path, timeout_s=None, log=structlog.get_logger()
        )
    told = [event for event in events if event["event"] == "watch.command_output"]
    lines = {(event["stream"], event.get("line"), str(event.get("command_event"))) for event in told}
    assert lines == {
        ("stdout", "made 3 files", "None"),
        ("stdout", None, "{'a': 1}"),
        ("stderr", "careful", "None"),
    }
    assert {event["command"] for event in told} == {sys.executable}


async def test_one_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """With the setting's name, and without a process left."""
    good, said = await _run([(*PYTHON, WRITE_PID)], tmp_path, timeout_s=2.0)
    assert not good
    assert "pre_restart_timeout_seconds" in said
    if (tmp_path / "done").exists():
        wait_until_gone([int((tmp_path / "done").read_text())])


async def test_a_cancelled_one_leaves_no_process(tmp_path: Path) -> None:
    """As when a file changes meanwhile, or Ctrl-C comes."""
    running = asyncio.create_task(_run([(*PYTHON, WRITE_PID)], tmp_path))
    await asyncio.to_thread(eventually, (tmp_path / "done").exists, "the command to run")
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    wait_until_gone([int((tmp_path / "done").read_text())])
