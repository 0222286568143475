"""``pre_restart_cmds``: what runs before each start, such as a code generator or a migration."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from structlog.typing import FilteringBoundLogger

__all__ = ["run_commands"]

_TERM_S: Final = 2.0


async def run_commands(
    commands: Sequence[Sequence[str]], *, cwd: Path, timeout_s: float | None, log: FilteringBoundLogger
) -> bool:
    """Run the commands one after another, their output beside ours; False as soon as one fails.

    Cancelled, or after ``timeout_s``, the running one gets SIGTERM and 2 s, then SIGKILL, as a group.
    """
    for command in commands:
        problem = await _run(command, cwd, timeout_s)
        if problem is not None:
            action = "the worker starts after the next change"
            log.error("watch.command_failed", command=list(command), problem=problem, action=action)
            return False
    return True


async def _run(command: Sequence[str], cwd: Path, timeout_s: float | None) -> str | None:
    """Return what went wrong."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=cwd, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
        )
    except (OSError, ValueError) as error:
        return f"it cannot be started: {error}"
    try:
        async with asyncio.timeout(timeout_s):
            code = await process.wait()
    except TimeoutError:
        return f"it was still running after pre_restart_timeout_seconds, {timeout_s:g} s"
    finally:
        await _end(process)
    if code:
        return f"it exited with {code}" if code > 0 else f"it was killed by {signal.Signals(-code).name}"
    return None


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    _signal(process, signal.SIGTERM)
    waiting = asyncio.ensure_future(process.wait())
    await asyncio.wait([waiting], timeout=_TERM_S)
    _signal(process, signal.SIGKILL)
    await waiting


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
