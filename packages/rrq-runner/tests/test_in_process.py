"""Handlers in somebody else's process."""

import asyncio
from pathlib import Path

import pytest

from rrq_protocol import SettingsError
from rrq_runner import Context, Registry, RunnerSettings, executing
from rrq_runner.in_process import load_handlers
from support.runners import execution_request

MODULE = """
from rrq_runner import Registry, RunnerSettings
registry = Registry()
registry.register("echo", lambda value: value)
settings = RunnerSettings(registry=registry, max_in_flight=4)
"""


def registry() -> Registry:
    """Return a handler that looks at the state, and one that waits."""
    handlers = Registry()

    @handlers.handler
    async def state(ctx: Context) -> object:
        return dict(ctx.state)

    @handlers.handler
    async def sleep() -> None:
        await asyncio.sleep(600)

    return handlers


@pytest.mark.anyio
async def test_hooks_run_around_the_block() -> None:
    """Handlers find what they left."""
    told: list[str] = []

    def start() -> dict[str, int]:
        told.append("up")
        return {"pool": 1}

    settings = RunnerSettings(registry=registry(), on_startup=start, on_shutdown=lambda: told.append("down"))
    async with executing(settings) as execute:
        assert (await execute(execution_request("state"))).result == {"pool": 1}
        assert told == ["up"]
    assert told == ["up", "down"]


@pytest.mark.anyio
async def test_a_registry_is_enough_and_nothing_outlives_the_block() -> None:
    """A handler that still runs at its end is cancelled."""
    async with executing(registry()) as execute:
        waiting = asyncio.ensure_future(execute(execution_request("sleep")))
        await asyncio.sleep(0)
    error = (await waiting).error
    assert error is not None
    assert error.type == "busy"


def test_handlers_are_loaded_by_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the current directory, as a settings object or a bare registry."""
    (tmp_path / "in_process_app.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", *__import__("sys").path])
    assert load_handlers("in_process_app:settings").max_in_flight == 4
    assert load_handlers("in_process_app.registry").max_in_flight is None
    assert load_handlers("in_process_app.registry").names == ["echo"]


def test_a_wrong_reference_is_a_matter_of_configuration() -> None:
    """With the text the runner's own command would give."""
    with pytest.raises(SettingsError, match="no module named 'nowhere_at_all'"):
        load_handlers("nowhere_at_all:settings")
