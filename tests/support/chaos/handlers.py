"""Handlers that bear witness: a line when an attempt starts and one when it ends, in a file outside Redis.

The bench copies this file beside its rrq.toml, so it uses rrq_runner and the standard library only.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from rrq_runner import Context, Registry, RunnerSettings

registry = Registry()


def write(ctx: Context, what: str) -> None:
    """Append one line in one system call, so that lines of many processes never mix."""
    seen = {
        "what": what,
        "job": ctx.job_id,
        "request": ctx.request_id,
        "attempt": ctx.attempt,
        "pid": os.getpid(),
        # Not the process's own parent, which is its guard.
        "parent": int((ctx.worker_id or "").split("_")[-2]),
        "owner": ctx.worker_id or "",
        "at": time.monotonic(),
    }
    descriptor = os.open(os.environ["CHAOS_WITNESS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, json.dumps(seen).encode() + b"\n")
    finally:
        os.close(descriptor)


@contextmanager
def witnessed(ctx: Context) -> Iterator[None]:
    """Write the start, and the end: ``ok``, ``failed`` or ``cancelled``. A death leaves no second line."""
    write(ctx, "start")
    try:
        yield
    except asyncio.CancelledError:
        write(ctx, "cancelled")
        raise
    except Exception:
        write(ctx, "failed")
        raise
    write(ctx, "ok")


@registry.handler
async def quick(ctx: Context) -> str:
    """Succeed at once. The result of every handler names the execution it is from."""
    with witnessed(ctx):
        return ctx.request_id


@registry.handler
async def slow(ctx: Context, seconds: float) -> str:
    """Take some time."""
    with witnessed(ctx):
        await asyncio.sleep(seconds)
        return ctx.request_id


@registry.handler
def plain(ctx: Context, seconds: float) -> str:
    """Take some time in a thread."""
    with witnessed(ctx):
        time.sleep(seconds)
        return ctx.request_id


@registry.handler
async def flaky(ctx: Context, fails: int) -> str:
    """Fail in the first attempts, then succeed."""
    with witnessed(ctx):
        if ctx.attempt <= fails:
            raise ValueError(f"attempt {ctx.attempt} of {fails} that fail")
        return ctx.request_id


@registry.handler
async def doomed(ctx: Context) -> NoReturn:
    """Fail in every attempt."""
    with witnessed(ctx):
        raise ValueError(f"attempt {ctx.attempt} fails as all do")


@registry.handler
async def endless(ctx: Context) -> NoReturn:
    """Run into the deadline, and end when told to."""
    with witnessed(ctx):
        await asyncio.Event().wait()
        raise AssertionError


@registry.handler
def deaf(ctx: Context) -> None:
    """Run into the deadline and do not listen, so that the process has to be replaced."""
    with witnessed(ctx):
        time.sleep(3600)


@registry.handler
async def poison(ctx: Context) -> NoReturn:
    """Kill the process, with all that runs in it."""
    write(ctx, "start")
    os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.Event().wait()
    raise AssertionError


settings = RunnerSettings(registry=registry)
