"""The handler of the benchmarks, for the public RRQ; only its environment can import this."""

import importlib
from typing import Any

Registry: Any = importlib.import_module("rrq.registry").Registry
Settings: Any = importlib.import_module("rrq.runner_settings").PythonRunnerSettings


async def noop(request: Any) -> None:
    """Do nothing."""


registry = Registry()
registry.register("noop", noop)
settings = Settings(registry=registry)
