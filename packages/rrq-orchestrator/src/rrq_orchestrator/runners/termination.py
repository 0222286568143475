"""How a runner process ends: SIGTERM, a grace, SIGKILL, and nothing left behind."""

import anyio

from rrq_orchestrator.runners.process import RunnerProcess

__all__ = ["kill", "terminate"]

_KILL_WAIT_S = 6.0
"""Longest wait for a guard, which itself waits a little less for what it killed (:mod:`.guard`)."""


async def terminate(process: RunnerProcess, grace_s: float) -> bool:
    """End a process and all it started; give it ``grace_s`` seconds to do it itself.

    Returns:
        True if nothing is left. Cancelled, it leaves the rest to :func:`kill`.
    """
    process.ask_to_end()
    with anyio.move_on_after(grace_s):
        await process.exited.wait()
    return await kill(process)


async def kill(process: RunnerProcess) -> bool:
    """End a process and all it started at once. Return True if nothing is left."""
    process.end()
    with anyio.move_on_after(_KILL_WAIT_S):
        await process.exited.wait()
    if not process.exited.is_set():
        process.abandon()
        return False
    return not process.left
