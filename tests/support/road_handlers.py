"""Handlers of tests/integration, served by runner processes; :mod:`support.road` copies this file beside an
rrq.toml.

They leave a line per start and end in a file outside Redis, opened with O_APPEND, so that what really ran can
be held against what Redis says (RELIABILITY.md 3.1 *Witness handlers*).
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from rrq_runner import Context, Registry, Retry, RetryJob, RunnerSettings

registry = Registry()


def witness(ctx: Context, what: str) -> None:
    """Write that something happened to an attempt."""
    line = f"{what} {ctx.job_id} {ctx.attempt} {ctx.request_id} {os.getpid()} {ctx.queue_name}\n"
    descriptor = os.open(os.environ["ROAD_WITNESS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


@registry.handler
async def work(ctx: Context, number: int = 0) -> int:
    """Succeed at once."""
    witness(ctx, "start")
    return number * 2


@registry.handler
def plain(ctx: Context, word: str) -> dict[str, object]:
    """Succeed in a thread; say where it ran."""
    witness(ctx, "start")
    return {"word": word, "runner": os.environ["ROAD_RUNNER"], "queue": ctx.queue_name}


@registry.handler
async def positional(first: str, item_id: int = 0) -> list[object]:
    """Return what came by position and by name."""
    return [first, item_id]


@registry.handler
async def flaky(ctx: Context, succeeds_on: int) -> int:
    """Fail until the given attempt."""
    witness(ctx, "start")
    if ctx.attempt < succeeds_on:
        raise ValueError(f"attempt {ctx.attempt} fails")
    return ctx.attempt


@registry.handler
async def patient(ctx: Context, seconds: float) -> int:
    """Ask for a second attempt after a delay."""
    witness(ctx, "start")
    if ctx.attempt == 1:
        raise RetryJob("not yet", defer_seconds=seconds)
    return ctx.attempt


@registry.handler(retry=Retry(max_retries=3, base_delay_seconds=0, give_up_on=(LookupError,)))
def fussy(ctx: Context, hopeless: bool = False) -> NoReturn:
    """Fail, three times at most; once if it is hopeless."""
    witness(ctx, "start")
    if hopeless:
        raise LookupError("no such account")
    raise ValueError(f"attempt {ctx.attempt} fails")


@registry.handler
async def poison(ctx: Context) -> NoReturn:
    """Kill the process, with all that runs in it."""
    witness(ctx, "start")
    os.kill(os.getpid(), signal.SIGSEGV)
    await asyncio.Event().wait()
    raise AssertionError


@registry.handler
async def matricide(ctx: Context) -> NoReturn:
    """Kill the orchestrator: the parent of the guard that is the parent of this process."""
    witness(ctx, "start")
    guard = os.getppid()
    orchestrator = int(Path(f"/proc/{guard}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(orchestrator, signal.SIGKILL)
    await asyncio.Event().wait()
    raise AssertionError


@registry.handler
async def nap(ctx: Context, seconds: float) -> None:
    """Take some time."""
    witness(ctx, "start")
    await asyncio.sleep(seconds)


@registry.handler
async def endless(ctx: Context) -> NoReturn:
    """Wait for ever, but end when cancelled."""
    witness(ctx, "start")
    await asyncio.Event().wait()
    raise AssertionError


@registry.handler
def blocking(ctx: Context) -> NoReturn:
    """Hold a thread for ever, whatever is asked of it."""
    witness(ctx, "start")
    while True:
        time.sleep(60)


@registry.handler
async def frozen(ctx: Context) -> NoReturn:
    """Block the event loop for ever, and with it all that runs in the process."""
    witness(ctx, "start")
    while True:
        time.sleep(60)  # noqa: ASYNC251 - a mistake people make


@registry.handler
async def stubborn(ctx: Context) -> NoReturn:
    """Swallow every cancellation."""
    witness(ctx, "start")
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


@registry.handler
async def hold(ctx: Context, gate: str) -> dict[str, int]:
    """Run until the test opens the gate, a file."""
    witness(ctx, "start")
    path = Path(os.environ["ROAD_GATES"], gate)
    while not path.exists():  # noqa: ASYNC110 - another process makes the file
        await asyncio.sleep(0.01)
    witness(ctx, "end")
    return {"pid": os.getpid()}


@registry.handler
async def parental(ctx: Context) -> NoReturn:
    """Start processes that would outlive everybody, and wait for ever: a child, one in a session of its own,
    and an orphan.
    """
    await asyncio.create_subprocess_exec("sleep", "3600")
    await asyncio.create_subprocess_exec("sleep", "3600", start_new_session=True)
    daemonising = "import os; os.fork() and os._exit(0); os.setsid(); os.execvp('sleep', ['sleep', '3600'])"
    orphaning = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", daemonising)
    await orphaning.wait()
    witness(ctx, "start")
    await asyncio.Event().wait()
    raise AssertionError


@registry.handler
async def big(size: int) -> str:
    """Return a text of so many characters."""
    return "x" * size


settings = RunnerSettings(registry=registry)
