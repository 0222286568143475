"""How a process group ends: SIGTERM, a grace, SIGKILL, and nothing left behind."""

import os
import signal

import anyio

from rrq_orchestrator.runners.process import RunnerProcess
from rrq_orchestrator.runners.process_table import any_living

__all__ = ["group_exists", "kill", "terminate"]

_KILL_WAIT_S = 5.0
"""Longest wait for a killed process; only one stuck in the kernel needs more."""
_SWEEP_WAIT_S = 1.0
_SWEEP_STEP_S = 0.005


async def terminate(process: RunnerProcess, grace_s: float) -> bool:
    """End a process and its group; give them ``grace_s`` seconds to do it themselves.

    Returns:
        True if nothing of the group is left. Cancelled, it leaves the rest to :func:`kill`.
    """
    process.signal_group(signal.SIGTERM)
    with anyio.move_on_after(grace_s):
        await process.exited.wait()
    return await kill(process)


async def kill(process: RunnerProcess) -> bool:
    """End a process and its group at once. Return True if nothing of the group is left."""
    process.signal_group(signal.SIGKILL)
    with anyio.move_on_after(_KILL_WAIT_S):
        await process.exited.wait()
    if not process.exited.is_set():
        return False
    with anyio.move_on_after(_SWEEP_WAIT_S):
        # The members were killed with the leader; their end takes a moment longer.
        while group_exists(process.pid):  # noqa: ASYNC110  # the kernel tells nobody
            await anyio.sleep(_SWEEP_STEP_S)
    return not group_exists(process.pid)


def group_exists(group: int) -> bool:
    """Return whether a process group has a living member, once its leader was reaped.

    Members that have become our own children, as they do where we are process 1 of a container, are reaped
    first. Dead ones that another process 1 has not reaped yet are none of ours.
    """
    try:
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS, for a group of which only zombies are left
        return False
    return any_living(group)
