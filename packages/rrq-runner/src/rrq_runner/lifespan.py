"""The start-up and shutdown hooks of a runner, as one async context manager."""

import inspect
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from rrq_runner.context import State
from rrq_runner.errors import StartupError
from rrq_runner.failures import location, type_name
from rrq_runner.settings import RunnerSettings

_log = logging.getLogger("rrq_runner")


@asynccontextmanager
async def running_hooks(settings: RunnerSettings, state: State) -> AsyncIterator[None]:
    """Run the start-up side on entry and the shutdown side on exit.

    A failing shutdown hook is logged: all work is done by then, and nothing is gained by failing.

    Raises:
        StartupError: A start-up hook failed; the text names the exception and the place.
    """
    held = getattr(settings, "rrq_settings", None)
    if held is not None:  # of earlier versions: handlers find them there
        state["rrq_settings"] = held
    async with AsyncExitStack() as stack:
        if settings.lifespan is not None:
            try:
                manager = _call(settings.lifespan, state)
                _add(state, await manager.__aenter__())
            except Exception as error:
                raise _failed("lifespan", error) from error
            stack.push_async_callback(_quietly, "lifespan", lambda: manager.__aexit__(None, None, None))
        if settings.on_startup is not None:
            try:
                _add(state, await _result(_call(settings.on_startup, state)))
            except Exception as error:
                raise _failed("on_startup", error) from error
        if settings.on_shutdown is not None:
            on_shutdown = settings.on_shutdown
            stack.push_async_callback(_quietly, "on_shutdown", lambda: _call(on_shutdown, state))
        yield


async def _quietly(name: str, hook: Callable[[], Any]) -> None:
    try:
        await _result(hook())
    except Exception:  # noqa: BLE001 - nothing is gained by failing now
        _log.exception("runner.hook_failed", extra={"hook": name})


async def _result(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _call(hook: Callable[..., Any], state: State) -> Any:
    """Call a hook with the state if it takes a parameter, else with nothing."""
    try:
        inspect.signature(hook).bind(state)
    except TypeError:
        return hook()
    return hook(state)


def _add(state: State, value: Any) -> None:
    if isinstance(value, Mapping) and value is not state:
        state.update(value)


def _failed(name: str, error: Exception) -> StartupError:
    where = location(error)
    return StartupError(f"{name} failed: {type_name(error)}: {error}{f' ({where})' if where else ''}")
