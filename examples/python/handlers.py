"""The handlers. An orchestrator starts `rrq-runner --settings handlers:settings` (rrq.toml: `app`)."""

import asyncio
import os

from rrq_runner import Context, ExecutionRequest, Registry, RetryJob, RunnerSettings

registry = Registry()


@registry.handler
async def echo(request: ExecutionRequest) -> dict[str, object]:
    """Return the params as they came."""
    return request.params


@registry.handler
async def fail(ctx: Context, message: str = "failed on purpose", until: int | None = None) -> dict[str, int]:
    """Fail with a message, before a given attempt or always."""
    if until is None or ctx.attempt < until:
        raise RuntimeError(message)
    return {"attempt": ctx.attempt}


@registry.handler
async def retry(ctx: Context, attempts: int = 2, seconds: float = 0) -> dict[str, int]:
    """Ask for another attempt until the given one, then succeed."""
    if ctx.attempt < attempts:
        raise RetryJob(f"attempt {ctx.attempt} of {attempts}", defer_seconds=seconds)
    return {"attempt": ctx.attempt}


@registry.handler
async def sleep(seconds: float) -> dict[str, float]:
    """Succeed after a while; can be cancelled."""
    await asyncio.sleep(seconds)
    return {"slept": seconds}


@registry.handler
async def crash(code: int = 1) -> None:
    """End the process, as a fault in native code would."""
    os._exit(code)


settings = RunnerSettings(registry=registry)
