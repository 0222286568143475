"""Write RRQ job handlers in Python and serve them to an orchestrator.

::

    registry = Registry()

    @registry.handler("send_email", timeout=60)
    async def send_email(ctx: Context, to: str, subject: str = "hi") -> dict[str, str]: ...

    settings = RunnerSettings(registry=registry)     # rrq-runner --settings module:settings

``docs/write-a-runner.md`` tells the rest.
"""

from rrq_protocol import ExecutionOutcome, ExecutionRequest
from rrq_runner.compat import (
    JobRegistry,
    PythonExecutorSettings,
    PythonRunnerSettings,
    RunnerRuntime,
    parse_tcp_socket,
    run_tcp,
)
from rrq_runner.context import Context, current_context
from rrq_runner.engine import Engine
from rrq_runner.errors import InvalidParams, LoadError, RegistrationError, RetryJob, RunnerError, StartupError
from rrq_runner.in_process import executing
from rrq_runner.loader import load_runner_settings
from rrq_runner.registry import Registry
from rrq_runner.retry import Retry
from rrq_runner.runtime import run
from rrq_runner.server import Server
from rrq_runner.settings import RunnerSettings

__all__ = [
    "Context",
    "Engine",
    "ExecutionOutcome",
    "ExecutionRequest",
    "InvalidParams",
    "JobRegistry",
    "LoadError",
    "PythonExecutorSettings",
    "PythonRunnerSettings",
    "RegistrationError",
    "Registry",
    "Retry",
    "RetryJob",
    "RunnerError",
    "RunnerRuntime",
    "RunnerSettings",
    "Server",
    "StartupError",
    "current_context",
    "executing",
    "load_runner_settings",
    "parse_tcp_socket",
    "run",
    "run_tcp",
]
