"""From the settings to what watch mode runs with. Pure."""

from pathlib import Path
from typing import Final

from msgspec.structs import replace

from rrq_protocol import Settings, SettingsError
from rrq_protocol.settings import RunnerConfig

__all__ = ["for_watching", "watched_folder"]

_NO_BYTECODE: Final = "PYTHONDONTWRITEBYTECODE"
"""Python tells a changed file by its size and the whole second of its time: two saves in a second are too
fast for that."""


def for_watching(settings: Settings) -> Settings:
    """Return the settings of an orchestrator that will soon be replaced.

    Managed runners have one process with one slot, and a stop does not wait for running jobs: they are asked
    to end and given back uncounted.
    """
    runners = {name: _single(runner) for name, runner in settings.runners.items()}
    return replace(settings, runners=runners, worker_shutdown_grace_period_seconds=0.0)


def _single(runner: RunnerConfig) -> RunnerConfig:
    if runner.is_external:
        return runner
    env = {_NO_BYTECODE: "1", **runner.env}
    return replace(runner, pool_size=1, max_in_flight=1, env=env)


def watched_folder(settings: Settings) -> Path:
    """Return ``rrq.watch.path``, absolute and without links.

    Raises:
        SettingsError: It is no folder.
    """
    path = Path(settings.watch.path).expanduser()
    if not path.is_dir():
        raise SettingsError([f"rrq.watch.path: expected a folder, got {str(path)!r}"])
    return path.resolve()
