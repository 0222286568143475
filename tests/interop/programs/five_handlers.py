"""The five handlers every example has, for the public line's Python runner: it runs with its wheel alone."""

import asyncio
import importlib
import math
import os
from typing import Any

# By name: where types are checked, there is no such wheel.
RetryJob: Any = importlib.import_module("rrq.exc").RetryJob
Registry: Any = importlib.import_module("rrq.registry").Registry
PythonRunnerSettings: Any = importlib.import_module("rrq.runner_settings").PythonRunnerSettings


async def echo(request: Any) -> Any:
    """Return the params as they came."""
    return request.params


async def fail(request: Any) -> Any:
    """Fail with a message, before a given attempt or always."""
    attempt = request.context.attempt
    if attempt < request.params.get("until", math.inf):
        raise RuntimeError(request.params.get("message", "failed on purpose"))
    return {"attempt": attempt}


async def retry(request: Any) -> Any:
    """Ask for another attempt until the given one, then succeed."""
    attempt = request.context.attempt
    if attempt < request.params.get("attempts", 2):
        raise RetryJob("not yet", defer_seconds=request.params.get("seconds", 0))
    return {"attempt": attempt}


async def sleep(request: Any) -> Any:
    """Succeed after a while."""
    await asyncio.sleep(request.params["seconds"])
    return {"slept": request.params["seconds"]}


async def crash(request: Any) -> Any:
    """End the process."""
    os._exit(request.params.get("code", 1))


registry = Registry()
for handler in (echo, fail, retry, sleep, crash):
    registry.register(handler.__name__, handler)
settings = PythonRunnerSettings(registry=registry)
