"""``pre_restart_cmds``: what runs before each start, such as a code generator or a migration."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from structlog.typing import FilteringBoundLogger

from rrq_orchestrator.runners.output import OutputRelay, Stream

__all__ = ["run_commands"]

_TERM_S: Final = 2.0
_LAST_LINES_S: Final = 0.5


async def run_commands(
    commands: Sequence[Sequence[str]], *, cwd: Path, timeout_s: float | None, log: FilteringBoundLogger
) -> bool:
    """Run the commands one after another, their output as log events; False as soon as one fails.

    Cancelled, or after ``timeout_s``, the running one gets SIGTERM and 2 s, then SIGKILL, as a group.
    """
    for command in commands:
        problem = await _run(command, cwd, timeout_s, log)
        if problem is not None:
            action = "the worker starts after the next change"
            log.error("watch.command_failed", command=list(command), problem=problem, action=action)
            return False
    return True


async def _run(
    command: Sequence[str], cwd: Path, timeout_s: float | None, log: FilteringBoundLogger
) -> str | None:
    """Return what went wrong."""
    async with _relayed(log.bind(command=command[0])) as (out, err):
        try:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=cwd, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=err,
                start_new_session=True,
            )  # fmt: skip
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


@contextlib.asynccontextmanager
async def _relayed(log: FilteringBoundLogger) -> AsyncIterator[tuple[int, int]]:
    """Yield two descriptors to write to; what is written becomes log events."""
    loop = asyncio.get_running_loop()
    relays: list[OutputRelay] = []
    ends: list[int] = []
    streams: tuple[Stream, ...] = ("stdout", "stderr")
    try:
        for stream in streams:
            relay = OutputRelay(log, stream, event="watch.command_output", key="command_event")
            reading, writing = os.pipe()
            ends.append(writing)
            await loop.connect_read_pipe(partial(_itself, relay), os.fdopen(reading, "rb", buffering=0))
            relays.append(relay)
        yield ends[0], ends[1]
    finally:
        for end in ends:
            os.close(end)
        # A process that it left behind may keep them open.
        closed = [asyncio.ensure_future(relay.closed.wait()) for relay in relays]
        if closed:
            await asyncio.wait(closed, timeout=_LAST_LINES_S)
        for wait, relay in zip(closed, relays, strict=True):
            wait.cancel()
            relay.close()


def _itself(relay: OutputRelay) -> OutputRelay:
    return relay


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
