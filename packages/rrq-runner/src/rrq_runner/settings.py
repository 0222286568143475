"""What a runner process is made of: handlers, hooks, limits."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from rrq_protocol import SettingsError
from rrq_runner.errors import seconds
from rrq_runner.registry import Registry

DEFAULT_MAX_IN_FLIGHT: Final = 1024
"""Requests taken at a time on one connection.

The orchestrator sets the real limit; this one only bounds memory.
"""

Hook = Callable[..., Any]
Lifespan = Callable[..., AbstractAsyncContextManager[Any]]


@dataclass(frozen=True)
class RunnerSettings:
    """Everything ``run`` and ``rrq-runner --settings module:attr`` need to know.

    Attributes:
        registry: The handlers.
        on_startup: Called before the runner listens, plain or async, with nothing or with the state mapping.
            A mapping it returns is added to the state, which handlers find as ``ctx.state``.
        on_shutdown: Called after the last handler has ended, like ``on_startup``.
        lifespan: In place of the two hooks: an async context manager function, with nothing or the state
            mapping as its argument. A mapping it yields is added to the state.
        max_in_flight: Requests taken at a time on one connection; more are answered "busy". None: 1024, and
            the orchestrator decides.
        threads: Most plain ``def`` handlers at a time; None: CPU count + 4, at most 32.
        shutdown_grace_seconds: How long handlers may go on after SIGTERM before they are cancelled.
        cancel_grace_seconds: How long they may take to clean up once cancelled.
        allowed_uids: User ids that may connect, besides this process's own and root.

    Raises:
        SettingsError: A value cannot be used; all problems are listed.
    """

    registry: Registry
    on_startup: Hook | None = None
    on_shutdown: Hook | None = None
    lifespan: Lifespan | None = None
    max_in_flight: int | None = None
    threads: int | None = None
    shutdown_grace_seconds: float | timedelta = 4.0
    cancel_grace_seconds: float | timedelta = 0.5
    allowed_uids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise SettingsError(problems)
        for name in ("shutdown_grace_seconds", "cancel_grace_seconds"):
            object.__setattr__(self, name, seconds(name, getattr(self, name)))

    def _problems(self) -> list[str]:
        problems: list[str] = []
        registry: object = self.registry  # whatever an untyped program gave
        if not isinstance(registry, Registry):
            problems.append(f"registry: expected a Registry, got {type(registry).__name__}")
        for name in ("on_startup", "on_shutdown", "lifespan"):
            hook = getattr(self, name)
            if hook is not None and not callable(hook):
                problems.append(f"{name}: expected a function, got {type(hook).__name__}")
        if self.lifespan is not None and (self.on_startup or self.on_shutdown):
            problems.append("lifespan: takes the place of on_startup and on_shutdown; give one or the others")
        for name in ("max_in_flight", "threads"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                problems.append(f"{name}: expected int >= 1 or None, got {value!r}")
        for name in ("shutdown_grace_seconds", "cancel_grace_seconds"):
            try:
                seconds(name, getattr(self, name))
            except (TypeError, ValueError) as error:
                problems.append(str(error))
        return problems

    @property
    def shutdown_grace_s(self) -> float:
        """``shutdown_grace_seconds`` as a float."""
        return seconds("shutdown_grace_seconds", self.shutdown_grace_seconds)

    @property
    def cancel_grace_s(self) -> float:
        """``cancel_grace_seconds`` as a float."""
        return seconds("cancel_grace_seconds", self.cancel_grace_seconds)
