"""Handlers in the process of somebody else: an orchestrator's, a test's, a program's own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

from rrq_protocol import ExecutionOutcome, ExecutionRequest, Settings, SettingsError
from rrq_runner.context import State
from rrq_runner.engine import Engine
from rrq_runner.errors import LoadError
from rrq_runner.lifespan import running_hooks
from rrq_runner.loader import add_working_directory, load_runner_settings, runner_settings_of
from rrq_runner.registry import Registry
from rrq_runner.settings import RunnerSettings

Execute: TypeAlias = Callable[[ExecutionRequest], Awaitable[ExecutionOutcome]]


@asynccontextmanager
async def executing(settings: RunnerSettings | Registry) -> AsyncIterator[Execute]:
    """Run the hooks of ``settings`` around the block, in which what it yields executes requests.

    ``InProcessRunner(lifespan=lambda: executing(settings))`` is an orchestrator with its handlers inside.

    Raises:
        StartupError: A start-up hook failed.
    """
    if isinstance(settings, Registry):
        settings = RunnerSettings(registry=settings)
    state: State = {}
    async with running_hooks(settings, state):
        engine = Engine(settings.registry, state=state, threads=settings.threads)
        try:
            yield engine.execute
        finally:
            # Whoever executed has waited for what he started; what is left ignores its cancellation.
            await engine.stop(0, settings.cancel_grace_s)


@dataclass(frozen=True)
class LoadedHandlers:
    """What the entry point ``python`` of the group ``rrq.in_process`` makes of ``--settings MODULE:ATTR``.

    Attributes:
        settings: What was loaded.
    """

    settings: RunnerSettings

    @property
    def max_in_flight(self) -> int | None:
        """Requests the settings want at a time; None leaves that to the orchestrator."""
        return self.settings.max_in_flight

    @property
    def names(self) -> list[str]:
        """The handlers' names, sorted."""
        return self.settings.registry.names

    def open(self) -> AbstractAsyncContextManager[Execute]:
        """Return :func:`executing` for the settings."""
        return executing(self.settings)


def load_handlers(reference: str | RunnerSettings | Registry | Settings) -> LoadedHandlers:
    """Import the settings object named by ``pkg.module:attr``, with the current directory on the import path;
    or take the object itself.

    Raises:
        SettingsError: It cannot be loaded; the text says what to correct.
    """
    if isinstance(reference, RunnerSettings):
        return LoadedHandlers(reference)
    if isinstance(reference, Registry):
        return LoadedHandlers(RunnerSettings(registry=reference))
    if isinstance(reference, Settings):
        return LoadedHandlers(runner_settings_of(reference))
    if not isinstance(reference, str):  # a program without types
        raise SettingsError(
            [f"handlers: expected a Registry or RunnerSettings, got {type(reference).__name__}"]
        )
    add_working_directory()
    try:
        return LoadedHandlers(load_runner_settings(reference))
    except LoadError as error:
        raise SettingsError([str(error)]) from error
