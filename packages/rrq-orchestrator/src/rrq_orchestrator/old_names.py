"""The worker of the first library, kept for the programs that run one."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from rrq_protocol import Settings, load_settings

__all__ = ["RRQWorker"]


class RRQWorker:
    """An orchestrator with handlers inside, as ``rrq worker run --settings module:registry`` is one.

    Args:
        settings: Everything configured; by default as :func:`rrq_protocol.load_settings` reads it.
        job_registry: The handlers: a Registry, or a RunnerSettings; by default those that ``settings`` hold.
        queues: What it serves, in place of the queues of the settings.
        burst: End once no job is left.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        job_registry: Any = None,
        *,
        queues: Sequence[str] | None = None,
        burst: bool = False,
    ) -> None:
        if job_registry is None:
            if getattr(settings, "job_registry", None) is None:
                raise TypeError("RRQWorker: give the handlers as job_registry")
            job_registry = settings
        self._settings, self._handlers, self._burst = settings or load_settings(), job_registry, burst
        if queues is not None:
            import msgspec

            worker = msgspec.structs.replace(self._settings.worker, queues=tuple(queues))
            self._settings = msgspec.structs.replace(self._settings, worker=worker)

    def run(self) -> None:
        """Work until a signal asks for the end, or, with ``burst``, until no job is left.

        Raises:
            SettingsError: The handlers cannot be used.
            SystemExit: It did not end well; the code is that of ``rrq worker run``.
        """
        import click

        from rrq_orchestrator.commands.in_process import load_in_process
        from rrq_orchestrator.commands.process import make_orchestrator, run_orchestrator

        try:
            runners = load_in_process(self._handlers, self._settings)
            code = run_orchestrator(
                self._settings, burst=self._burst, factory=partial(make_orchestrator, runners=runners)
            )
        except click.exceptions.Exit as stop:
            code = stop.exit_code
        if code:
            raise SystemExit(int(code))
