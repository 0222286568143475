"""Hooks run around everything else, whatever style they are written in."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rrq_runner.errors import StartupError
from rrq_runner.lifespan import running_hooks
from rrq_runner.registry import Registry
from rrq_runner.settings import RunnerSettings

pytestmark = pytest.mark.anyio


def settings(**hooks: Any) -> RunnerSettings:
    """Return settings with hooks."""
    return RunnerSettings(registry=Registry(), **hooks)


async def test_async_hooks_with_the_state() -> None:
    """A hook with a parameter gets the state, before and after."""
    seen: list[str] = []

    async def open_pool(state: dict[str, Any]) -> None:
        state["pool"] = "open"

    async def close_pool(state: dict[str, Any]) -> None:
        seen.append(state["pool"])

    state: dict[str, Any] = {}
    async with running_hooks(settings(on_startup=open_pool, on_shutdown=close_pool), state):
        assert state == {"pool": "open"}
        assert seen == []
    assert seen == ["open"]


async def test_plain_hooks_without_parameters() -> None:
    """A plain hook may take nothing; a mapping it returns becomes part of the state."""
    state: dict[str, Any] = {}
    seen: list[str] = []
    async with running_hooks(
        settings(on_startup=lambda: {"a": 1}, on_shutdown=lambda: seen.append("x")), state
    ):
        assert state == {"a": 1}
    assert seen == ["x"]


async def test_a_lifespan_does_both() -> None:
    """An async context manager function takes the place of two hooks."""
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[dict[str, str]]:
        yield {"pool": "open"}
        seen.append("closed")

    state: dict[str, Any] = {}
    async with running_hooks(settings(lifespan=lifespan), state):
        assert (state, seen) == ({"pool": "open"}, [])
    assert seen == ["closed"]


async def test_a_failing_startup_is_one_line() -> None:
    """The error names the hook, the exception and the place."""

    def fails() -> None:
        raise ConnectionError("no database")

    @asynccontextmanager
    async def fails_too() -> AsyncIterator[None]:
        fails()
        yield

    for hooks in ({"on_startup": fails}, {"lifespan": fails_too}):
        with pytest.raises(
            StartupError, match=rf"failed: ConnectionError: no database \(.*{__name__}.*py:\d+\)"
        ):
            async with running_hooks(settings(**hooks), {}):
                pytest.fail("must not be reached")


async def test_a_failing_shutdown_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """All work is done by then: the failure is told, and ends nothing."""

    def fails() -> None:
        raise ConnectionError("too late")

    with caplog.at_level(logging.ERROR, "rrq_runner"):
        async with running_hooks(settings(on_shutdown=fails), {}):
            pass
    assert [record.message for record in caplog.records] == ["runner.hook_failed"]
