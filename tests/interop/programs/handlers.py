"""Handlers that run under our runner and under the public one, unchanged but for where the names come from.

They leave a line per start in a file outside Redis, opened with O_APPEND, so that what really ran can be held
against what Redis says.
"""

import asyncio
import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rrq_runner import ExecutionRequest

try:
    _names: Any = importlib.import_module("rrq_runner")
    Registry, RetryJob, Settings = _names.Registry, _names.RetryJob, _names.PythonRunnerSettings
    RAN = "ours"
except ModuleNotFoundError:
    Registry = importlib.import_module("rrq.registry").Registry
    RetryJob = importlib.import_module("rrq.exc").RetryJob
    Settings = importlib.import_module("rrq.runner_settings").PythonRunnerSettings
    RAN = "wheel"


def witness(request: "ExecutionRequest") -> None:
    """Write that an attempt started."""
    line = f"{request.job_id} {request.context.attempt} {RAN}\n"
    descriptor = os.open(os.environ["INTEROP_WITNESS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


async def echo(request: "ExecutionRequest") -> dict[str, Any]:
    """Return what came."""
    witness(request)
    context = request.context
    return {
        "params": request.params,
        "attempt": context.attempt,
        "queue": context.queue_name,
        "trace": context.trace_context,
        "ran": RAN,
    }


async def flaky(request: "ExecutionRequest") -> int:
    """Fail until the given attempt."""
    witness(request)
    if request.context.attempt < request.params["succeeds_on"]:
        raise ValueError(f"attempt {request.context.attempt} fails")
    return request.context.attempt


async def patient(request: "ExecutionRequest") -> int:
    """Ask for a second attempt after a delay."""
    witness(request)
    if request.context.attempt == 1:
        raise RetryJob("not yet", defer_seconds=request.params["seconds"])
    return request.context.attempt


async def endless(request: "ExecutionRequest") -> None:
    """Wait until cancelled."""
    witness(request)
    await asyncio.Event().wait()


async def nap(request: "ExecutionRequest") -> None:
    """Take so many seconds."""
    witness(request)
    await asyncio.sleep(request.params["seconds"])


registry = Registry()
for handler in (echo, flaky, patient, endless, nap):
    registry.register(handler.__name__, handler)
settings = Settings(registry=registry)
